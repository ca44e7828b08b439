// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static dev.diffusionvl.runtime.op.AttentionPass.check;
import static dev.diffusionvl.runtime.op.Segments.Own.CAUSAL;
import static dev.diffusionvl.runtime.op.Segments.Own.NONE;
import static dev.diffusionvl.runtime.op.Segments.Own.SELF;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.runtime.op.AttentionPass.Form;
import dev.diffusionvl.runtime.op.AttentionPass.Part;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.AttentionWorkspace;
import dev.diffusionvl.runtime.op.Segments;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** attention against float64 over every kind of segment: blocks, drafts, sequences side by side, windows, causal rows, training. */
class AttentionTest extends OpTest {
  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void everyShapeOfPass(Form form) {
    for (int dim : new int[] {128, 80, 72}) {
      check(this, form, 2, 1, dim, 1, new Part(1, 0, 0, 1, NONE)); // one key
      check(this, form, 4, 4, dim, 9, new Part(3, 6, 0, 7, NONE), new Part(5, 0, 2, 3, NONE));
      check(this, form, 7, 1, dim, 24, new Part(8, 0, 0, 0, SELF), new Part(8, 8, 0, 8, SELF), new Part(8, 16, 0, 24, NONE)); // prefill
      check(this, form, 8, 1, dim, 45, new Part(8, 37, 0, 37, SELF)); // denoise: cache and itself
      check(this, form, 2, 1, dim, 30, new Part(8, 13, 0, 13, SELF), new Part(8, 21, 0, 21, SELF)); // fused store
      check(this, form, 2, 2, dim, 40, new Part(8, 5, 0, 5, SELF), new Part(8, 13, 0, 5, SELF), new Part(8, 21, 0, 5, SELF)); // variants
      check(this, form, 2, 1, dim, 300, new Part(2, 290, 3, 200, SELF), new Part(1, 250, 201, 250, SELF)); // two sequences in one cache
      check(this, form, 1, 1, dim, 420, new Part(3, 412, 1, 410, SELF)); // more than three tiles, ragged
      check(this, form, 2, 1, dim, 129, new Part(1, 128, 0, 128, SELF)); // two tiles and one key
      check(this, form, 3, 1, dim, 150, new Part(43, 0, 0, 0, SELF), new Part(0, 43, 0, 9, NONE), new Part(100, 50, 0, 0, SELF)); // windows
      check(this, form, 6, 2, dim, 220, new Part(13, 190, 77, 190, SELF), new Part(4, 3, 3, 60, NONE), new Part(17, 203, 0, 0, CAUSAL));
    }
  }

  /** An image's patches in a full-attention layer of the vision tower. */
  @ParameterizedTest
  @EnumSource(names = "BF16")
  void aWholeImage(Form form) {
    int patches = few() ? 130 : 1296;
    check(this, form, 1, 1, 80, patches, new Part(patches, 0, 0, patches, NONE));
  }

  /** Lists whose length is at the edges of tiles and of the ranges that blocks share: up to 32 for one kv head. */
  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void everyLengthOfTheList(Form form) {
    for (int length : few() ? new int[] {15, 16, 17, 63, 64, 65, 193, 2049} : new int[] {15, 16, 17, 48, 49, 63, 64, 65, 127, 128, 191, 193,
        1000,
        2048, 2049, 2500}) {
      check(this, form, 1, 1, form.dim(72), length + 3, new Part(1, 2, 3, length + 3, NONE));
    }
    check(this, form, 5, 1, 128, 700, new Part(9, 680, 0, 661, SELF));
  }

  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void moreThanSixtyFourSegments(Form form) {
    Part[] parts = new Part[100];
    for (int i = 0; i < parts.length; i++) {
      parts[i] = new Part(i % 3, 5 + 2 * i, 0, i % 5, Segments.Own.values()[i % 7 % 3]);
    }
    check(this, form, 2, 1, form.dim(80), 210, parts);
  }

  /** Autoregressive rows: alone, as a prompt without and with a cached context, drafts that are verified, sequences side by side. */
  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void causalRows(Form form) {
    for (int dim : new int[] {128, 80, 72}) {
      check(this, form, 7, 1, dim, 9, new Part(1, 8, 0, 8, CAUSAL)); // one token
      check(this, form, 2, 2, dim, 70, new Part(70, 0, 0, 0, CAUSAL)); // a prompt
      check(this, form, 7, 1, dim, 90, new Part(25, 64, 1, 64, CAUSAL)); // behind a context; three rows share a tile of sixteen
      check(this, form, 3, 1, dim, 120, new Part(5, 60, 0, 60, CAUSAL), new Part(5, 65, 0, 60, CAUSAL), new Part(5, 70, 0, 60, CAUSAL));
      check(this, form, 2, 1, dim, 150, new Part(9, 33, 10, 30, CAUSAL), new Part(4, 140, 50, 130, CAUSAL), new Part(8, 42, 10, 42, SELF));
    }
    int rows = few() ? 70 : 300;
    check(this, form, 4, 1, form.dim(72), rows + 40, new Part(rows, 40, 3, 40, CAUSAL));
  }

  /** Rows of one tile whose lists are cut into ranges of one and of two tiles: with 32 kv heads there are 4 ranges, of 256 keys at most. */
  @ParameterizedTest
  @EnumSource(names = {"BF16_SPLIT", "BF16_FP8_SPLIT"})
  void causalRowsAtTheEdgeOfARange(Form form) {
    for (int context : few() ? new int[] {250} : new int[] {250, 256, 505}) {
      check(this, form, 32, 32, form.dim(72), context + 12, new Part(12, context, 0, context, CAUSAL));
    }
  }

  /** With 64 heads of 4 kv heads there are 4 ranges, until they would have more than four tiles: 32 from 7936 keys on. */
  @ParameterizedTest
  @EnumSource(names = {"BF16_SPLIT", "F16_SPLIT"})
  void longLists(Form form) {
    for (int length : few() ? new int[] {1030} : new int[] {1024, 1025, 1300, 2049, 7937, 8192, 8300}) {
      check(this, form, 64, 4, 72, length, new Part(length > 8192 ? 3 : 1, 0, 0, length, NONE)); // three tiles, of which two share a block
    }
    check(this, form, 64, 4, 128, 1060, new Part(12, 1020, 0, 1020, CAUSAL), new Part(3, 1050, 0, 1040, SELF));
  }

  /** How many ranges write a partial result: as many as the length of the list says. */
  @Test
  void rangesOfALongList() {
    int[] lengths = {256, 1024, 1025, 1300, 8300};
    int[] expected = {4, 4, 5, 6, 26}; // of 1, 4, 4, 4 and 5 tiles
    AttentionPass pass = new AttentionPass(this, Form.BF16_SPLIT, 64, 4, 72, 8300, 1);
    try (AttentionWorkspace workspace = pass.workspace(1, 1)) {
      for (int i = 0; i < lengths.length; i++) {
        stream.fill(workspace.partial(), 0xff); // NaN
        try (Segments segments = pass.segments(new Part(1, 0, 0, lengths[i], NONE))) {
          pass.run(pass.q, segments, workspace);
        }
        float[] partial = workspace.partial().getFloats(stream);
        int each = (72 / 8 + 1) * 32 * 4;
        long written = IntStream.range(0, 32).filter(range -> !Float.isNaN(partial[range * each])).count();
        assertEquals(expected[i], written, lengths[i] + " keys");
      }
    }
  }

  /** Training's pass of noisy rows and clean rows, from its four rules: more blocks than a mask of 64 bits could name. */
  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void noisyAndCleanRows(Form form) {
    int block = 2;
    int blocks = few() ? 9 : 70;
    int half = block * blocks;
    AttentionPass pass = new AttentionPass(this, form, 2, 1, form.dim(72), 2 * half, 2 * half);
    Part[] parts = new Part[2 * blocks];
    for (int i = 0; i < blocks; i++) {
      parts[i] = new Part(block, block * i, half, half + block * i, SELF);
      parts[blocks + i] = new Part(block, half + block * i, half, half + block * i, SELF);
    }
    int[][] seen = new int[2 * half][];
    for (int query = 0; query < 2 * half; query++) {
      int row = query;
      seen[query] = IntStream.range(0, 2 * half).filter(key -> {
        int queryBlock = row % half / block;
        int keyBlock = key % half / block;
        if (row < half) {
          return key < half ? queryBlock == keyBlock : queryBlock > keyBlock;
        }
        return key >= half && queryBlock >= keyBlock;
      }).toArray();
    }
    assertRows("training's pass " + form, pass.expected(seen), pass.run(form, parts), 4 * half, form.tolerance);
  }

  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void constantValuesComeBackExactly(Form form) {
    for (int length : new int[] {1, 2, 3, 64, 300}) {
      AttentionPass pass = new AttentionPass(this, form, 2, 1, 128, length + 1, 2);
      Arrays.fill(pass.v, 1f);
      for (float x : pass.run(form, new Part(2, 0, 0, length, NONE))) {
        // Rounding P to bf16 changes a weight by at most 2^-9 of itself: their sum rounds to 1.
        assertEquals(1f, x, form == Form.F32 ? 1e-6f : 0f, form + ", " + length + " keys, seed " + seed);
      }
    }
  }

  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void aSegmentThatSeesNothingGivesZeros(Form form) {
    AttentionPass pass = new AttentionPass(this, form, 3, 1, 128, 30, 9);
    Part[] parts = {new Part(3, 0, 2, 2, NONE), new Part(3, 3, 0, 30, NONE), new Part(3, 6, 0, 0, NONE)};
    float[] out = pass.run(form, parts);
    int width = pass.rowWidth();
    for (int i = 0; i < out.length; i++) {
      boolean sees = i / width / 3 == 1;
      assertTrue(sees ? out[i] != 0 : Float.floatToRawIntBits(out[i]) == 0, form + ": element " + i + " is " + out[i]);
    }
  }

  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void hugeScoresDoNotOverflow(Form form) {
    AttentionPass pass = new AttentionPass(this, form, 1, 1, 128, 70, 1);
    Arrays.fill(pass.q, 100f);
    Arrays.fill(pass.k, -100f);
    for (int winner : new int[] {0, 37, 69}) {
      Arrays.fill(pass.k, winner * 128, winner * 128 + 128, 100f);
      assertArrayEquals(Arrays.copyOfRange(pass.v, winner * 128, winner * 128 + 128), pass.run(form, new Part(1, 0, 0, 70, NONE)),
          1e-6f, form + ", key " + winner);
      Arrays.fill(pass.k, winner * 128, winner * 128 + 128, -100f);
    }
  }

  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void keysWithInfiniteNegativeScoresWeighNothing(Form form) {
    if (form.coded()) {
      return; // there is no infinity among codes
    }
    AttentionPass pass = new AttentionPass(this, form, 1, 1, 128, 150, 1);
    Arrays.fill(pass.q, 1f);
    Arrays.fill(pass.k, Float.NEGATIVE_INFINITY);
    assertArrayEquals(new float[128], pass.run(form, new Part(1, 0, 0, 150, NONE)), form + ": all of them");
    Arrays.fill(pass.k, 149 * 128, 150 * 128, 1f); // in the third tile, after nothing but -inf
    assertArrayEquals(Arrays.copyOfRange(pass.v, 149 * 128, 150 * 128), pass.run(form, new Part(1, 0, 0, 150, NONE)),
        form + ": all but one");
  }

  /** NaN in a key or value that one segment sees is in its rows, and in no other. */
  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void nanStaysWithThoseWhoSeeIt(Form form) {
    for (boolean inKeys : new boolean[] {true, false}) {
      int dim = form.dim(80);
      AttentionPass pass = new AttentionPass(this, form, 2, 1, dim, 140, 6);
      float[] poisoned = inKeys ? pass.k : pass.v;
      poisoned[100 * dim + 3] = Float.NaN;
      float[] out = pass.run(form, new Part(3, 0, 0, 100, NONE), new Part(3, 101, 90, 101, NONE));
      for (int i = 0; i < out.length; i++) {
        boolean poison = i / pass.rowWidth() >= 3 && (inKeys || form.coded() || i % dim == 3);
        assertEquals(poison, Float.isNaN(out[i]), form + ": element " + i);
      }
    }
  }

  /** A key that is NaN is in the causal rows from its own on; what a row must not see does not reach it. */
  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void nanInACausalKeyStaysBehindIt(Form form) {
    AttentionPass pass = new AttentionPass(this, form, 2, 1, form.dim(80), 140, 20);
    pass.k[107 * form.dim(80) + 3] = Float.NaN;
    float[] out = pass.run(form, new Part(20, 100, 0, 100, CAUSAL));
    for (int i = 0; i < out.length; i++) {
      assertEquals(i / pass.rowWidth() >= 7, Float.isNaN(out[i]), form + ": element " + i);
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    DeviceBuffer data = buffer(DType.F32, new float[4 * 128]);
    try (Segments segments = new Segments(device, 1)) {
      segments.add(0, 1, 0, 3, 0, 5, NONE);
      segments.upload(stream);
      assertThrows(IllegalArgumentException.class,
          () -> kernels.attention.launch(stream, data, new KeyValues(data, data, new Heads(1, 1, 128), 4), segments, data, 1f));
      assertThrows(IllegalArgumentException.class,
          () -> kernels.attention.launch(stream, data, new KeyValues(data, data, new Heads(1, 1, 64), 8), segments, data, 1f));
      assertThrows(IllegalArgumentException.class, () -> segments.add(0, 1, 0, 0, 0, 1, NONE));
      segments.clear();
      for (Segments.Own own : new Segments.Own[] {SELF, CAUSAL}) {
        String message = assertThrows(IllegalArgumentException.class, () -> segments.add(0, 3, 0, 5, 2, 6, own)).getMessage();
        assertTrue(message.contains("slot 5, context 2 to 6") && message.contains("in its context already"), message);
        assertThrows(IllegalArgumentException.class, () -> segments.add(0, 3, 0, 5, 7, 9, own));
      }
      segments.add(0, 3, 0, 5, 2, 5, CAUSAL);
    }
  }

  @Test
  void aWorkspaceIsForOneShapeOfHeads() {
    DeviceBuffer data = buffer(DType.BF16, new float[40 * 128]);
    try (Segments segments = new Segments(device, 2); AttentionWorkspace workspace = new AttentionWorkspace(stream, 4, 2, 128, 1, 8, 8)) {
      segments.add(0, 8, 0, 0, 0, 8, NONE);
      segments.upload(stream);
      assertTrue(workspace.fits(segments));
      for (int[] other : new int[][] {{2, 2, 128}, {4, 1, 128}, {4, 2, 80}}) { // heads, kv heads, head dim
        String message = assertThrows(IllegalArgumentException.class, () -> kernels.attention.launch(stream, data,
            new KeyValues(data, data, new Heads(other[0], other[1], other[2]), 8), segments, data, 1f, workspace)).getMessage();
        assertTrue(message.contains("workspace is for 4 heads, 2 kv heads, head dim 128, 1 tiles, lists of 8 keys"), message);
      }
      segments.add(8, 1, 0, 0, 0, 8, NONE);
      segments.upload(stream);
      assertFalse(workspace.fits(segments));
      assertThrows(IllegalArgumentException.class,
          () -> kernels.attention.launch(stream, data, new KeyValues(data, data, new Heads(4, 2, 128), 8), segments, data, 1f, workspace));
      workspace.close();
      segments.clear();
      segments.add(0, 8, 0, 0, 0, 8, NONE);
      segments.upload(stream);
      assertThrows(IllegalStateException.class,
          () -> kernels.attention.launch(stream, data, new KeyValues(data, data, new Heads(4, 2, 128), 8), segments, data, 1f, workspace));
    }
    assertThrows(IllegalArgumentException.class, () -> new AttentionWorkspace(stream, 3, 2, 128, 1, 8, 8));
  }
}
