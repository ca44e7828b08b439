// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.math.BigInteger;
import org.junit.jupiter.api.Test;

/** Programs of users' own that the interpreter once got wrong or refused (src/test/resources/ptx/oddities.cu). */
class UserOdditiesTest extends UserPrograms {
  private KernelFunction kernel(String name) {
    return program("oddities", name);
  }

  @Test
  void wideDivision() {
    int n = 64;
    long[] p = random.longs(n).toArray();
    long[] q = random.longs(n).map(w -> (w | 1) >> random.nextInt(0, 60)).toArray();
    DeviceBuffer quotient = buffer(DType.U8, 16 * n);
    DeviceBuffer remainder = buffer(DType.U8, 8 * n);
    stream.launch(kernel("oddities"), 1, 1, 1, n, 0).ptr(bytes(MemorySegment.ofArray(p))).ptr(bytes(MemorySegment.ofArray(q)))
        .ptr(quotient).ptr(remainder).go();
    long[] quotients = content(quotient).toArray(ValueLayout.JAVA_LONG);
    long[] remainders = content(remainder).toArray(ValueLayout.JAVA_LONG);
    for (int i = 0; i < n; i++) {
      BigInteger[] expected = BigInteger.valueOf(p[i]).multiply(BigInteger.valueOf(77)).divideAndRemainder(BigInteger.valueOf(q[i]));
      assertEquals(expected[0].longValue(), quotients[2 * i], "quotient " + i);
      assertEquals(expected[0].shiftRight(64).longValue(), quotients[2 * i + 1], "quotient, upper half " + i);
      assertEquals(expected[1].longValue(), remainders[i], "remainder " + i);
    }
  }

  @Test
  void labelsOfInlineAssembly() {
    int[] x = randomInts(64, 0, 20);
    int[] expected = new int[64];
    for (int i = 0; i < 64; i++) {
      expected[i] = x[i] * (x[i] + 1) / 2 - 3 * (i * (i + 1) / 2);
    }
    DeviceBuffer data = ints(x);
    stream.launch(kernel("triangles"), 1, 1, 1, 64, 0).ptr(data).go();
    assertArrayEquals(expected, data.getInts(stream));
  }

  @Test
  void sharedAddressesBelowZero() {
    int[] x = randomInts(128, 0, 100);
    int[] expected = new int[128];
    for (int i = 0; i < 128; i++) {
      expected[i] = i < 64 ? 3 * x[63 - i] : 3 * x[i - 64] + x[i];
    }
    DeviceBuffer y = ints(new int[128]);
    stream.launch(kernel("halves"), 1, 1, 1, 128, 0).ptr(ints(x)).ptr(y).go();
    assertArrayEquals(expected, y.getInts(stream));
  }

  @Test
  void objectsOnTheHeap() {
    int[] x = randomInts(64, 0, 100);
    int[] expected = new int[64];
    for (int i = 0; i < 64; i++) {
      expected[i] = i % 3 != 0 ? x[i] * x[i] : x[i] * i;
    }
    DeviceBuffer y = ints(new int[64]);
    stream.launch(kernel("shapes"), 1, 1, 1, 64, 0).ptr(ints(x)).ptr(y).go();
    assertArrayEquals(expected, y.getInts(stream));
  }

  @Test
  void tilesOfTwoWarps() {
    int[] x = randomInts(128, 8, 100);
    x[70] = 7;
    int[] expected = new int[128];
    for (int i = 0; i < 128; i++) {
      expected[i] = x[i / 64 * 64 + 5] + i / 64;
    }
    DeviceBuffer y = ints(new int[128]);
    stream.launch(kernel("tiles"), 1, 1, 1, 128, 0).ptr(ints(x)).ptr(y).go();
    assertArrayEquals(expected, y.getInts(stream));
  }

  @Test
  void parameters() {
    DeviceBuffer y = buffer(DType.F64, 32);
    MemorySegment pair = arena.allocate(16, 8);
    pair.set(ValueLayout.JAVA_SHORT, 0, (short) -3);
    pair.set(ValueLayout.JAVA_DOUBLE, 8, 0.5);
    MemorySegment c = MemorySegment.ofArray(new byte[] {(byte) 200});
    stream.launch(kernel("parameters"), 1, 1, 1, 32, 0).f64(2.25).bytes(pair).bytes(c).ptr(y).go();
    double[] result = content(y).toArray(ValueLayout.JAVA_DOUBLE);
    for (int i = 0; i < 32; i++) {
      assertEquals(2.25 * i - 1.5 + 200, result[i]);
    }
  }
}
