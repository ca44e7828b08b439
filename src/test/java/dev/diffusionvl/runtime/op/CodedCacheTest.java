// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.CodedRows;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** Keys and values that are written as codes: code by code what the numbers become that are written otherwise. */
class CodedCacheTest extends OpTest {
  private static final int DIM = KeyValues.CODED_DIM;
  private static final int SLOTS = 23;

  /** A cache of codes that nothing has been written to. */
  private KeyValues codes(Heads heads) {
    long rows = (long) heads.keyValue() * SLOTS;
    return new KeyValues(empty(DType.U8, rows * DIM), empty(DType.U8, rows * DIM), heads, SLOTS,
        new KeyValues.Scales(empty(DType.F32, rows), empty(DType.F32, rows)));
  }

  private KeyValues numbers(DType dtype, Heads heads) {
    long elements = (long) heads.keyValue() * SLOTS * DIM;
    return new KeyValues(empty(dtype, elements), empty(dtype, elements), heads, SLOTS);
  }

  private void assertCodes(String what, boolean[] written, DeviceBuffer numbers, DeviceBuffer codes, DeviceBuffer scales) {
    CodedRows expected = new CodedRows(numbers.getFloats(stream), DIM);
    byte[] actual = bytesOf(codes);
    float[] actualScales = scales.getFloats(stream);
    for (int row = 0; row < actualScales.length; row++) {
      String where = what + ", row " + row + ", seed " + seed;
      assertEquals(expected.scales()[row], actualScales[row], where); // NaN too
      byte[] one = Arrays.copyOfRange(actual, row * DIM, (row + 1) * DIM);
      if (!written[row % SLOTS]) {
        byte[] untouched = new byte[DIM];
        Arrays.fill(untouched, (byte) 0xff);
        assertArrayEquals(untouched, one, where);
        assertEquals(0xffffffff, Float.floatToRawIntBits(actualScales[row]), where);
      } else if (!Float.isNaN(actualScales[row])) {
        assertArrayEquals(Arrays.copyOfRange(expected.codes(), row * DIM, (row + 1) * DIM), one, where);
      }
    }
  }

  /** Rows of usual numbers, of all sizes that the type has, of zeros, and with one number that is none. */
  private float[] accumulators(DType dtype, Heads heads, int rows, int width) {
    float[] acc = normal(DType.F32, rows * width, 1);
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < width; i++) {
        int at = row * width + i;
        switch (row % 6) {
          case 1 -> acc[at] = Math.scalb(acc[at], i * 5 % 24 - 18);
          case 2 -> acc[at] = 0;
          case 3 -> acc[at] = dtype == DType.BF16 ? Math.scalb(acc[at], row % 4 == 3 ? -125 : 100) : Math.scalb(acc[at], -22);
          case 4 -> acc[at] = (i % 7 - 3) * 448 / 3f; // the largest number itself, and near it
          default -> { }
        }
      }
    }
    acc[5 * width + (heads.query() + heads.keyValue()) * DIM - 3] = Float.NaN; // of a key
    acc[11 * width + width - 2] = Float.POSITIVE_INFINITY; // of a value
    return acc;
  }

  @Test
  void ropeKvAppend() {
    for (DType dtype : withoutF16() ? new DType[] {DType.BF16} : new DType[] {DType.BF16, DType.F16}) {
      for (int[] h : new int[][] {{2, 1}, {7, 1}, {4, 4}, {6, 3}}) {
        append(dtype, new Heads(h[0], h[1], DIM), h[0] % 2 == 0);
      }
    }
  }

  private void append(DType dtype, Heads heads, boolean biased) {
    int rows = 12;
    int width = (heads.query() + 2 * heads.keyValue()) * DIM;
    DeviceBuffer acc = buffer(DType.F32, accumulators(dtype, heads, rows, width));
    DeviceBuffer bias = biased ? buffer(dtype, normal(dtype, width, 1e-3)) : null;
    Rope rope = new Rope(buffer(DType.F32, normal(DType.F32, 40 * DIM / 2, 1)), buffer(DType.F32, normal(DType.F32, 40 * DIM / 2, 1)));
    KeyValues numbers = numbers(dtype, heads);
    KeyValues codes = codes(heads);
    DeviceBuffer[] q = {empty(dtype, (long) rows * heads.query() * DIM), empty(dtype, (long) rows * heads.query() * DIM)};
    boolean[] written = new boolean[SLOTS];
    Arrays.fill(written, 2, 5, true);
    Arrays.fill(written, 14, 23, true);
    try (Segments segments = new Segments(device, 2)) {
      segments.add(0, 3, 30, 2, 0, 0, Segments.Own.NONE);
      segments.add(3, 9, 7, 14, 0, 0, Segments.Own.NONE);
      segments.upload(stream);
      kernels.ropeKvAppend.launch(stream, acc, bias, rope, segments, q[0], numbers);
      kernels.ropeKvAppend.launch(stream, acc, bias, rope, segments, q[1], codes);
    }
    String what = "rope_kv_append " + dtype + " " + heads;
    assertArrayEquals(bytesOf(q[0]), bytesOf(q[1]), what);
    assertCodes(what + " keys", written, numbers.keys(), codes.keys(), codes.scales().keys());
    assertCodes(what + " values", written, numbers.values(), codes.values(), codes.scales().values());
    assertTrue(Float.isNaN(codes.scales().keys().getFloats(stream)[(heads.keyValue() - 1) * SLOTS + 14 + 5 - 3]), what);
  }

  @Test
  void skinnyQkv() {
    try (SkinnyWorkspace workspace = new SkinnyWorkspace(stream, SkinnyWorkspace.MAX_ROWS)) {
      for (DType dtype : withoutF16() ? new DType[] {DType.BF16} : new DType[] {DType.BF16, DType.F16}) {
        for (int rows : new int[] {1, 7, 16, 20}) {
          project(workspace, dtype, new Heads(rows == 7 ? 2 : 3, rows == 7 ? 2 : 1, DIM), rows);
        }
      }
    }
  }

  private void project(SkinnyWorkspace workspace, DType dtype, Heads heads, int rows) {
    int k = 136;
    int width = (heads.query() + 2 * heads.keyValue()) * DIM;
    DeviceBuffer h = buffer(dtype, normal(dtype, rows * k, 1));
    DeviceBuffer squares = empty(DType.F32, (long) rows * RowSquares.groups(k));
    kernels.rowSquares.launch(stream, h, squares, rows, k);
    NormedLinear linear = new NormedLinear(buffer(dtype, normal(dtype, k, 1)), 1e-6f, buffer(dtype, normal(dtype, width * k, 0.1)),
        rows == 1 ? null : buffer(dtype, normal(dtype, width, 1)), width, k);
    Rope rope = new Rope(buffer(DType.F32, normal(DType.F32, 40 * DIM / 2, 1)), buffer(DType.F32, normal(DType.F32, 40 * DIM / 2, 1)));
    KeyValues numbers = numbers(dtype, heads);
    KeyValues codes = codes(heads);
    DeviceBuffer[] q = {empty(dtype, (long) rows * heads.query() * DIM), empty(dtype, (long) rows * heads.query() * DIM)};
    boolean[] written = new boolean[SLOTS];
    Arrays.fill(written, 3, 3 + rows, true);
    try (Segments segments = new Segments(device, 1)) {
      segments.add(0, rows, 11, 3, 0, 0, Segments.Own.NONE);
      segments.upload(stream);
      kernels.skinnyQkv.launch(stream, workspace, new Residual(h, squares), linear, rope, segments, q[0], numbers);
      kernels.skinnyQkv.launch(stream, workspace, new Residual(h, squares), linear, rope, segments, q[1], codes);
    }
    String what = "skinny_qkv " + dtype + " " + heads + " " + rows + " rows";
    assertArrayEquals(bytesOf(q[0]), bytesOf(q[1]), what);
    assertCodes(what + " keys", written, numbers.keys(), codes.keys(), codes.scales().keys());
    assertCodes(what + " values", written, numbers.values(), codes.values(), codes.scales().values());
  }

  /** Every number of 16 bits, and as the largest of a row that one, is the nearest of its row's: also ties, subnormal codes and zeros. */
  @Test
  void everyNumber() {
    Heads one = new Heads(1, 1, DIM);
    int rows = SLOTS;
    Rope rope = new Rope(buffer(DType.F32, new float[rows * DIM / 2]), buffer(DType.F32, new float[rows * DIM / 2]));
    for (int first = 0; first < 1 << 15; first += (SMALL ? 41 : 3) * rows * DIM) {
      float[] acc = new float[rows * 3 * DIM];
      for (int i = 0; i < rows * DIM; i++) {
        float value = DType.fromBf16((short) (first + i));
        acc[i / DIM * 3 * DIM + 2 * DIM + i % DIM] = i % 3 == 0 ? -value : value;
      }
      KeyValues numbers = numbers(DType.BF16, one);
      KeyValues codes = codes(one);
      boolean[] written = new boolean[SLOTS];
      Arrays.fill(written, true);
      try (Segments segments = new Segments(device, 1)) {
        segments.add(0, rows, 0, 0, 0, 0, Segments.Own.NONE);
        segments.upload(stream);
        for (KeyValues kv : new KeyValues[] {numbers, codes}) {
          kernels.ropeKvAppend.launch(stream, buffer(DType.F32, acc), null, rope, segments, empty(DType.BF16, rows * DIM), kv);
        }
      }
      assertCodes("numbers from " + first, written, numbers.values(), codes.values(), codes.scales().values());
    }
  }

  /** Attention's error by rounding keys and values, where nothing is in its favour: random numbers behind many keys. */
  @Test
  void whatItCosts() {
    int keys = SMALL ? 100 : 1000;
    for (DType dtype : withoutF16() ? new DType[] {DType.BF16} : new DType[] {DType.BF16, DType.F16}) {
      AttentionPass.Form form = dtype == DType.BF16 ? AttentionPass.Form.BF16_FP8_SPLIT : AttentionPass.Form.F16_FP8_SPLIT;
      AttentionPass.Form plain = dtype == DType.BF16 ? AttentionPass.Form.BF16_SPLIT : AttentionPass.Form.F16_SPLIT;
      AttentionPass pass = new AttentionPass(this, plain, 4, 1, DIM, keys, 8);
      AttentionPass.Part part = new AttentionPass.Part(8, 0, 0, keys, Segments.Own.NONE);
      float[] numbers = pass.run(plain, part);
      float[] codes = pass.as(form).run(form, part);
      double error = 0;
      double norm = 0;
      for (int i = 0; i < numbers.length; i++) {
        error += Math.pow(codes[i] - numbers[i], 2);
        norm += Math.pow(numbers[i], 2);
      }
      double relative = Math.sqrt(error / norm);
      System.out.printf("attention with codes, %s, %d keys: relative error %.4f%n", dtype, keys, relative);
      assertTrue(relative > 0.005 && relative < 0.06, dtype + ": " + relative + ", seed " + seed);
    }
  }

  @Test
  void refusesWhatThereIsNoKernelFor() {
    Heads heads = new Heads(1, 1, DIM);
    KeyValues codes = codes(heads);
    DeviceBuffer f = buffer(DType.F32, new float[3 * DIM]);
    DeviceBuffer b = buffer(DType.BF16, new float[3 * DIM]);
    KeyValues narrow = new KeyValues(codes.keys(), codes.values(), new Heads(1, 1, 80), SLOTS, codes.scales());
    KeyValues fewScales = new KeyValues(codes.keys(), codes.values(), heads, SLOTS,
        new KeyValues.Scales(codes.scales().keys(), buffer(DType.F32, new float[SLOTS - 1])));
    try (Segments segments = new Segments(device, 1)) {
      segments.add(0, 1, 0, 0, 0, 0, Segments.Own.SELF);
      segments.upload(stream);
      refuses("bytes of an activation, with codes", () -> kernels.attention.launch(stream, f, codes, segments, f, 1f));
      refuses("bytes of an activation, with codes", () -> kernels.ropeKvAppend.launch(stream, f, null, new Rope(f, f), segments, f, codes));
      refuses("head dim, with codes", () -> kernels.attention.launch(stream, b, narrow, segments, b, 1f));
      refuses("value scales", () -> kernels.attention.launch(stream, b, fewScales, segments, b, 1f));
      refuses("must be numbers", () -> kernels.attention.launchForTraining(stream, b, codes, segments, b, f, 1f));
    }
  }

  private static void refuses(String why, Runnable launch) {
    String message = assertThrows(IllegalArgumentException.class, launch::run).getMessage();
    assertTrue(message.contains(why), message);
  }
}
