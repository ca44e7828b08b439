// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

/** Programs of users' own with tensor cores, in the types that the library's own kernels do not use. */
class UserTensorCoresTest extends UserPrograms {
  private interface Matrix {
    double at(int row, int column);
  }

  private static double[] product(int m, int n, int k, Matrix a, Matrix b) {
    double[] c = new double[m * n];
    for (int x = 0; x < m; x++) {
      for (int y = 0; y < n; y++) {
        for (int z = 0; z < k; z++) {
          c[x * n + y] += a.at(x, z) * b.at(z, y);
        }
      }
    }
    return c;
  }

  private static double f16(short[] values, int n) {
    return Float.float16ToFloat(values[n]);
  }

  @Test
  void wmma() {
    short[] a = new short[256];
    short[] b = new short[256];
    for (int i = 0; i < 256; i++) {
      a[i] = Float.floatToFloat16(random.nextInt(-4, 5)); // exact sums
      b[i] = Float.floatToFloat16(random.nextInt(-4, 5) * 0.25f);
    }
    DeviceBuffer c = buffer(DType.F32, 256);
    DeviceBuffer h = buffer(DType.U8, 512);
    stream.launch(program("tensor_cores"), 1, 1, 1, 32, 0).ptr(bytes(MemorySegment.ofArray(a))).ptr(bytes(MemorySegment.ofArray(b)))
        .ptr(c).ptr(h).go();
    double[] expected = product(16, 16, 16, (x, z) -> f16(a, x * 16 + z), (z, y) -> f16(b, y * 16 + z));
    float[] sums = c.getFloats(stream);
    short[] halves = content(h).toArray(ValueLayout.JAVA_SHORT);
    for (int i = 0; i < 256; i++) {
      assertEquals(2 * expected[i], sums[i], "value " + i);
      assertEquals(2 * expected[i], f16(halves, i % 16 * 16 + i / 16), "f16 value " + i);
    }
  }

  /** e4m3: 4 bits of exponent, 3 of the fraction. */
  private static double e4m3(byte bits) {
    int exponent = bits >> 3 & 15;
    double value = exponent == 0 ? Math.scalb((double) (bits & 7), -9) : Math.scalb(8.0 + (bits & 7), exponent - 10);
    return bits < 0 ? -value : value;
  }

  @Test
  void bytes() {
    byte[] a = new byte[512];
    byte[] b = new byte[256];
    random.nextBytes(a);
    random.nextBytes(b);
    for (int i = 0; i < 512; i++) {
      a[i] &= ~0x40; // no NaN, and sums that f32 holds
      b[i / 2] &= ~0x40;
    }
    DeviceBuffer c = ints(new int[128]);
    DeviceBuffer f = buffer(DType.F32, 128);
    stream.launch(program("tensor_cores", "bytes"), 1, 1, 1, 32, 0).ptr(bytes(MemorySegment.ofArray(a)))
        .ptr(bytes(MemorySegment.ofArray(b))).ptr(c).ptr(f).go();
    double[] integers = product(16, 8, 32, (x, z) -> a[x * 32 + z], (z, y) -> b[y * 32 + z]);
    double[] reals = product(16, 8, 32, (x, z) -> e4m3(a[x * 32 + z]), (z, y) -> e4m3(b[y * 32 + z]));
    float[] sums = f.getFloats(stream);
    int[] counts = c.getInts(stream);
    for (int i = 0; i < 128; i++) {
      assertEquals(integers[i], counts[i], "s8 value " + i);
      assertEquals(reals[i], sums[i], 1e-4, "e4m3 value " + i);
    }
  }

  @Test
  void reals() {
    double[] a = random.doubles(32).toArray();
    double[] b = random.doubles(32).toArray();
    float[] x = randomFloats(128);
    float[] y = randomFloats(64);
    DeviceBuffer c = buffer(DType.F64, 64);
    DeviceBuffer z = buffer(DType.F32, 128);
    stream.launch(program("tensor_cores", "reals"), 1, 1, 1, 32, 0).ptr(bytes(MemorySegment.ofArray(a)))
        .ptr(bytes(MemorySegment.ofArray(b))).ptr(c).ptr(floats(x)).ptr(floats(y)).ptr(z).go();
    assertArrayEquals(product(8, 8, 4, (i, k) -> a[i * 4 + k], (k, j) -> b[j * 4 + k]), content(c).toArray(ValueLayout.JAVA_DOUBLE), 1e-14);
    double[] expected = product(16, 8, 8, (i, k) -> tf32(x[i * 8 + k]), (k, j) -> tf32(y[j * 8 + k]));
    float[] result = z.getFloats(stream);
    for (int i = 0; i < 128; i++) {
      assertEquals(expected[i], result[i], 1e-6, "tf32 value " + i);
    }
  }

  /** The nearest number with 10 bits of the fraction. */
  private static double tf32(float value) {
    return Float.intBitsToFloat(Float.floatToRawIntBits(value) + 0x1000 & ~0x1fff);
  }

  @Test
  void floats8() {
    float[] x = {0, 1, -1, 1.0625f, 1.1875f, 448, 460, 464, 1000, -500, 0.001953125f, 0.0009765625f, 0.0029296875f, 0.015625f, 240, 17,
        57344, 1e9f, 1e-9f, -0.3f, 3.14159f, Float.NaN, Float.NEGATIVE_INFINITY, 0.0001f, 5, 6, 7, 8, 9, 10, 11, 13};
    DeviceBuffer e4m3 = buffer(DType.F32, 32);
    DeviceBuffer e5m2 = buffer(DType.F32, 32);
    stream.launch(program("tensor_cores", "floats8"), 1, 1, 1, 32, 0).ptr(floats(x)).ptr(e4m3).ptr(e5m2).go();
    assertArrayEquals(new float[] {0, 1, -1, 1, 1.25f, 448, 448, 448, 448, -448, 0.001953125f, 0, 0.00390625f, 0.015625f, 240, 16, 448, 448,
        0, -0.3125f, 3.25f, Float.NaN, -448, 0, 5, 6, 7, 8, 9, 10, 11, 13}, e4m3.getFloats(stream));
    assertArrayEquals(new float[] {0, 1, -1, 1, 1.25f, 448, 448, 448, 1024, -512, 0.001953125f, 0.0009765625f, 0.0029296875f, 0.015625f,
        256, 16, 57344, 57344, 0, -0.3125f, 3, Float.NaN, -57344, 0.00010681152f, 5, 6, 7, 8, 8, 10, 12, 12}, e5m2.getFloats(stream));
  }
}
