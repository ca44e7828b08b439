// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.math.BigInteger;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

/** Ten programs in plain CUDA, compiled by nvcc -ptx (src/test/resources/ptx), run from Java on the device that is there. */
class UserProgramsTest extends UserPrograms {
  @Test
  void reduction() {
    float[] x = new float[10_007];
    for (int i = 0; i < x.length; i++) {
      x[i] = i % 17 - 8; // exact in any order
    }
    DeviceBuffer sum = floats(0);
    stream.launch(program("reduction"), 7, 1, 1, 128, 128 * 4).ptr(floats(x)).ptr(sum).i32(x.length).go();
    float expected = 0;
    for (float value : x) {
      expected += value;
    }
    assertEquals(expected, sum.getFloats(stream)[0]);
  }

  @Test
  void matmul() {
    int m = 37;
    int n = 29;
    int k = 50;
    float[] a = randomFloats(m * k);
    float[] b = randomFloats(k * n);
    DeviceBuffer c = buffer(DType.F32, (long) m * n);
    stream.launch(program("matmul"), 2, 3, 1, 16, 16, 1, 0).ptr(floats(a)).ptr(floats(b)).ptr(c).i32(m).i32(n).i32(k).go();
    float[] result = c.getFloats(stream);
    for (int i = 0; i < m; i++) {
      for (int j = 0; j < n; j++) {
        double sum = 0;
        for (int l = 0; l < k; l++) {
          sum += (double) a[i * k + l] * b[l * n + j];
        }
        assertEquals(sum, result[i * n + j], 1e-5, i + ", " + j);
      }
    }
  }

  @Test
  void histogram() {
    byte[] data = new byte[20_000];
    random.nextBytes(data);
    Arrays.fill(data, 100, 5000, (byte) 77);
    int[] expected = new int[256];
    for (byte b : data) {
      expected[b & 255]++;
    }
    DeviceBuffer count = ints(new int[256]);
    stream.launch(program("histogram"), 5, 1, 1, 96, 0).ptr(bytes(MemorySegment.ofArray(data))).ptr(count).i32(data.length).go();
    assertArrayEquals(expected, count.getInts(stream));
  }

  @Test
  void warpScan() {
    int rows = 6;
    int[] x = randomInts(32 * rows, -5, 6);
    List<DeviceBuffer> out = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      out.add(ints(new int[x.length]));
    }
    stream.launch(program("warp_scan"), 3, 1, 1, 64, 0).ptr(ints(x)).ptr(out.get(0)).ptr(out.get(1)).ptr(out.get(2)).ptr(out.get(3)).go();
    int[][] expected = new int[4][x.length];
    for (int i = 0; i < x.length; i++) {
      int row = i / 32 * 32;
      int lane = i % 32;
      int most = Integer.MIN_VALUE;
      for (int l = 0; l < 32; l++) {
        expected[0][i] += l <= lane ? x[row + l] : 0;
        expected[1][i] |= (x[row + l] & 1) << l;
        expected[2][i] |= (x[row + l] == x[i] ? 1 : 0) << l;
        most = Math.max(most, x[row + l]);
      }
      int down = lane % 16 + 4 < 16 ? lane + 4 : lane;
      expected[3][i] = lane < 16 ? most + x[row + 3] : most - x[row + down];
    }
    for (int i = 0; i < 4; i++) {
      assertArrayEquals(expected[i], out.get(i).getInts(stream), "result " + i);
    }
  }

  @Test
  void halfAxpy() {
    int pairs = 333;
    float a = 1.2999f;
    short[] x = new short[2 * pairs];
    short[] y = new short[2 * pairs];
    short[] expected = new short[2 * pairs];
    for (int i = 0; i < x.length; i++) {
      x[i] = Float.floatToFloat16(random.nextFloat(-2, 2));
      y[i] = Float.floatToFloat16(random.nextFloat(-2, 2));
      double exact = (double) Float.float16ToFloat(Float.floatToFloat16(a)) * Float.float16ToFloat(x[i]) + Float.float16ToFloat(y[i]);
      expected[i] = Float.floatToFloat16((float) exact); // these sums are exact in f64 and, but for ties, in f32
    }
    DeviceBuffer out = bytes(MemorySegment.ofArray(y));
    stream.launch(program("half_axpy"), 3, 1, 1, 128, 0).f32(a).ptr(bytes(MemorySegment.ofArray(x))).ptr(out).i32(pairs).go();
    assertArrayEquals(expected, content(out).toArray(ValueLayout.JAVA_SHORT));
  }

  @Test
  void interpreter() {
    int[] program = randomInts(40, 0, 1 << 12);
    for (int i = 0; i < program.length; i++) {
      program[i] = program[i] & ~15 | (i % 8 == 5 ? 15 : random.nextInt(12));
    }
    int[] x = randomInts(200, -1000, 1000);
    int[] expected = new int[x.length];
    for (int i = 0; i < x.length; i++) {
      expected[i] = interpret(program, x[i], i);
    }
    DeviceBuffer data = ints(x);
    stream.launch(program("interpreter"), 2, 1, 1, 100, 0).ptr(ints(program)).i32(program.length).ptr(data).i32(x.length).go();
    assertArrayEquals(expected, data.getInts(stream));
  }

  private static int interpret(int[] program, int start, int thread) {
    int r = start;
    for (int instruction : program) {
      int value = instruction >> 4;
      int op = instruction & 15;
      r = switch (op == 15 ? thread % 12 : op) {
        case 0 -> r + value;
        case 1 -> r - value;
        case 2 -> r * value;
        case 3 -> value != 0 ? r / value : 0;
        case 4 -> value != 0 ? r % value : 0;
        case 5 -> r ^ value;
        case 6 -> r << (value & 7);
        case 7 -> r >> (value & 7);
        case 8 -> -r;
        case 9 -> Integer.bitCount(r);
        case 10 -> Integer.reverse(r);
        default -> Math.max(r, value);
      };
    }
    return r;
  }

  private static int ackermann(int m, int n) {
    return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
  }

  @Test
  void calls() {
    int n = 75;
    DeviceBuffer out = buffer(DType.U8, 8L * n);
    stream.launch(program("calls"), 2, 1, 1, 64, 0).ptr(out).i32(n).go();
    MemorySegment result = content(out);
    for (int i = 0; i < n; i++) {
      long a = i;
      int[] b = {i, 2 * i, 3};
      for (int k = 0; k < i % 5; k++) {
        a += b[0];
        b = new int[] {b[1], b[2] + 1, b[0] + 2};
      }
      long value = switch (i % 3) {
        case 0 -> 2 * a;
        case 1 -> a * a;
        default -> a - 1;
      };
      long expected = value * 1000 + ackermann(i % 3, i % 4) * 10 + i % 5;
      assertEquals(expected, result.getAtIndex(ValueLayout.JAVA_LONG, i), "thread " + i);
    }
  }

  @Test
  void variablesOfAModule() {
    float[] coefficients = {0, 0, 2, 0, 0};
    DeviceBuffer y = buffer(DType.F64, 1);
    KernelModule module = device.loadModule(Path.of("src/test/resources/ptx/constants.ptx"));
    DeviceBuffer launches = module.global("launches", DType.I32, 1);
    DeviceBuffer steps = module.global("steps", DType.U8, 8);
    try (module) {
      assertArrayEquals(new float[] {1, -0.5f, 0.25f, 2, -3}, module.global("coefficients", DType.F32, 5).getFloats(stream));
      module.global("coefficients", DType.F32, 5).set(stream, coefficients);
      launches.set(stream, 6);
      stream.fill(steps, 0);
      stream.launch(module.function("constants"), 1, 1, 1, 32, 0).ptr(floats(3)).ptr(y).i32(1).ptr(ints(0)).go();
      assertEquals(0.125 * 18, content(y).get(ValueLayout.JAVA_DOUBLE, 0));
      launches.close(); // nothing is to be freed
      assertEquals(7, launches.getInts(stream)[0]);
      String size = assertThrows(IllegalArgumentException.class, () -> module.global("steps", DType.I32, 3)).getMessage();
      assertTrue(size.contains("steps of module") && size.contains("has 8 bytes") && size.contains("i32[3] has 12"), size);
      String name = assertThrows(CudaException.class, () -> module.global("stops", DType.I32, 1)).getMessage();
      assertTrue(name.contains("cuModuleGetGlobal") && name.contains("stops in module"), name);
    }
    assertTrue(assertThrows(IllegalStateException.class, () -> launches.getInts(stream)).getMessage().contains("is closed"));
    assertThrows(IllegalStateException.class, () -> module.global("launches", DType.I32, 1));
  }

  @Test
  void constants() {
    float[] x = randomFloats(100);
    DeviceBuffer y = buffer(DType.F64, x.length);
    DeviceBuffer launch = ints(0);
    KernelFunction constants = program("constants");
    DeviceBuffer data = floats(x);
    Supplier<Integer> run = () -> {
      stream.launch(constants, 4, 1, 1, 32, 0).ptr(data).ptr(y).i32(x.length).ptr(launch).go();
      return launch.getInts(stream)[0];
    };
    assertEquals(42, run.get());
    assertEquals(43, run.get());
    float[] coefficients = {1, -0.5f, 0.25f, 2, -3};
    MemorySegment result = content(y);
    for (int i = 0; i < x.length; i++) {
      double sum = 0;
      for (int k = 4; k >= 0; k--) {
        sum = sum * x[i] + coefficients[k];
      }
      assertEquals(0.125 * sum + new int[] {3, -1, 4, 1}[i % 4], result.getAtIndex(ValueLayout.JAVA_DOUBLE, i), 1e-6);
    }
  }

  @Test
  void localSort() {
    int rows = 70;
    short[] data = new short[24 * rows];
    for (int i = 0; i < data.length; i++) {
      data[i] = (short) random.nextInt(1 << 16);
    }
    short[] expected = new short[data.length];
    for (int row = 0; row < rows; row++) {
      int[] unsigned = new int[24];
      for (int i = 0; i < 24; i++) {
        unsigned[i] = data[24 * row + i] & 0xffff;
      }
      Arrays.sort(unsigned);
      for (int i = 0; i < 24; i++) {
        expected[24 * row + i] = (short) unsigned[i];
      }
    }
    DeviceBuffer buffer = bytes(MemorySegment.ofArray(data));
    stream.launch(program("local_sort"), 3, 1, 1, 32, 0).ptr(buffer).i32(rows).go();
    assertArrayEquals(expected, content(buffer).toArray(ValueLayout.JAVA_SHORT));
  }

  @Test
  void wideIntegers() {
    int n = 50;
    long[] a = random.longs(4L * n).map(w -> random.nextInt(4) == 0 ? -1 : w).toArray();
    long[] b = random.longs(4L * n).map(w -> random.nextInt(4) == 0 ? 0 : w).toArray();
    DeviceBuffer sum = buffer(DType.U8, 32L * n);
    DeviceBuffer difference = buffer(DType.U8, 32L * n);
    DeviceBuffer high = buffer(DType.U8, 8L * n);
    stream.launch(program("wide_integers"), 1, 1, 1, 64, 0).ptr(bytes(MemorySegment.ofArray(a))).ptr(bytes(MemorySegment.ofArray(b)))
        .ptr(sum).ptr(difference).ptr(high).i32(n).go();
    long[] sums = content(sum).toArray(ValueLayout.JAVA_LONG);
    long[] differences = content(difference).toArray(ValueLayout.JAVA_LONG);
    long[] highs = content(high).toArray(ValueLayout.JAVA_LONG);
    BigInteger modulus = BigInteger.ONE.shiftLeft(256);
    for (int i = 0; i < n; i++) {
      assertEquals(wide(a, i).add(wide(b, i)).mod(modulus), wide(sums, i), "sum " + i);
      assertEquals(wide(a, i).subtract(wide(b, i)).mod(modulus), wide(differences, i), "difference " + i);
      BigInteger product = word(a[4 * i]).multiply(word(b[4 * i])).add(word(a[4 * i + 1]));
      assertEquals(product.shiftRight(64).longValue(), highs[i], "product " + i);
    }
  }

  private static BigInteger word(long w) {
    return new BigInteger(Long.toUnsignedString(w));
  }

  private static BigInteger wide(long[] words, int i) {
    BigInteger value = BigInteger.ZERO;
    for (int k = 3; k >= 0; k--) {
      value = value.shiftLeft(64).add(word(words[4 * i + k]));
    }
    return value;
  }
}
