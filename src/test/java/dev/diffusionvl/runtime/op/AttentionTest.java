// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static dev.diffusionvl.runtime.op.AttentionPass.check;
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
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** attention against float64 over every kind of segment: prefill, denoise, fused store, speculation, batching, windows. */
class AttentionTest extends OpTest {
  @ParameterizedTest
  @EnumSource
  void everyShapeOfPass(Form form) {
    for (int dim : new int[] {128, 80, 72}) {
      check(this, form, 2, 1, dim, 1, new Part(1, 0, 0, 1, 0)); // one key
      check(this, form, 4, 4, dim, 9, new Part(3, 6, 0, 7, 0), new Part(5, 0, 2, 3, 0));
      check(this, form, 7, 1, dim, 24, new Part(8, 0, 0, 8, 0), new Part(8, 8, 0, 16, 0), new Part(8, 16, 0, 24, 0)); // prefill
      check(this, form, 8, 1, dim, 45, new Part(8, 37, 0, 37, 1)); // denoise: cache and itself
      check(this, form, 2, 1, dim, 30, new Part(8, 13, 0, 13, 1), new Part(8, 21, 0, 13, 3)); // fused store
      check(this, form, 2, 2, dim, 40, new Part(8, 5, 0, 5, 1), new Part(8, 13, 0, 5, 2), new Part(8, 21, 0, 5, 4)); // variants
      check(this, form, 2, 1, dim, 300, new Part(2, 290, 3, 200, 1), new Part(1, 250, 201, 250, 2)); // two sequences in one cache
      check(this, form, 1, 1, dim, 420, new Part(3, 412, 1, 410, 1)); // more than three tiles, ragged
      check(this, form, 2, 1, dim, 129, new Part(1, 128, 0, 128, 1)); // two tiles and one key
      check(this, form, 3, 1, dim, 150, new Part(43, 0, 0, 43, 0), new Part(0, 43, 0, 9, 0), new Part(100, 50, 43, 143, 0)); // windows
      check(this, form, 6, 2, dim, 220, new Part(13, 190, 77, 190, 0b101), new Part(4, 3, 3, 60, 0), new Part(17, 203, 0, 0, 0b111));
    }
  }

  /** An image's patches in a full-attention layer of the vision tower. */
  @ParameterizedTest
  @EnumSource(names = "BF16")
  void aWholeImage(Form form) {
    int patches = SMALL ? 130 : 1296;
    check(this, form, 1, 1, 80, patches, new Part(patches, 0, 0, patches, 0));
  }

  /** Lists whose length is at the edges of tiles and of the ranges that blocks share: up to 32 for one kv head. */
  @ParameterizedTest
  @EnumSource
  void everyLengthOfTheList(Form form) {
    for (int length : SMALL ? new int[] {15, 16, 17, 63, 64, 65, 193, 2049} : new int[] {15, 16, 17, 48, 49, 63, 64, 65, 127, 128, 191, 193, 1000,
        2048, 2049, 2500}) {
      check(this, form, 1, 1, 72, length + 3, new Part(1, 2, 3, length + 3, 0));
    }
    check(this, form, 5, 1, 128, 700, new Part(9, 680, 0, 661, 1));
  }

  @ParameterizedTest
  @EnumSource
  void sixtyFourSegments(Form form) {
    Part[] parts = new Part[64];
    for (int i = 0; i < parts.length; i++) {
      parts[i] = new Part(i % 3, 5 + 2 * i, 0, i % 5, i == 7 ? -1L : 1L << i | 1L << (63 - i) | 0x8000_0000L);
    }
    check(this, form, 2, 1, 80, 140, parts);
  }

  @ParameterizedTest
  @EnumSource
  void constantValuesComeBackExactly(Form form) {
    for (int length : new int[] {1, 2, 3, 64, 300}) {
      AttentionPass pass = new AttentionPass(this, form.dtype, 2, 1, 128, length + 1, 2);
      Arrays.fill(pass.v, 1f);
      for (float x : pass.run(form, new Part(2, 0, 0, length, 0))) {
        // Rounding P to bf16 changes a weight by at most 2^-9 of itself: their sum rounds to 1.
        assertEquals(1f, x, form == Form.F32 ? 1e-6f : 0f, form + ", " + length + " keys, seed " + seed);
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void aSegmentThatSeesNothingGivesZeros(Form form) {
    AttentionPass pass = new AttentionPass(this, form.dtype, 3, 1, 128, 30, 9);
    Part[] parts = {new Part(3, 0, 2, 2, 0), new Part(3, 3, 0, 30, 0), new Part(3, 6, 0, 0, 0)};
    float[] out = pass.run(form, parts);
    int width = pass.rowWidth();
    for (int i = 0; i < out.length; i++) {
      boolean sees = i / width / 3 == 1;
      assertTrue(sees ? out[i] != 0 : Float.floatToRawIntBits(out[i]) == 0, form + ": element " + i + " is " + out[i]);
    }
  }

  @ParameterizedTest
  @EnumSource
  void hugeScoresDoNotOverflow(Form form) {
    AttentionPass pass = new AttentionPass(this, form.dtype, 1, 1, 128, 70, 1);
    Arrays.fill(pass.q, 100f);
    Arrays.fill(pass.k, -100f);
    for (int winner : new int[] {0, 37, 69}) {
      Arrays.fill(pass.k, winner * 128, winner * 128 + 128, 100f);
      assertArrayEquals(Arrays.copyOfRange(pass.v, winner * 128, winner * 128 + 128), pass.run(form, new Part(1, 0, 0, 70, 0)),
          1e-6f, form + ", key " + winner);
      Arrays.fill(pass.k, winner * 128, winner * 128 + 128, -100f);
    }
  }

  @ParameterizedTest
  @EnumSource
  void keysWithInfiniteNegativeScoresWeighNothing(Form form) {
    AttentionPass pass = new AttentionPass(this, form.dtype, 1, 1, 128, 150, 1);
    Arrays.fill(pass.q, 1f);
    Arrays.fill(pass.k, Float.NEGATIVE_INFINITY);
    assertArrayEquals(new float[128], pass.run(form, new Part(1, 0, 0, 150, 0)), form + ": all of them");
    Arrays.fill(pass.k, 149 * 128, 150 * 128, 1f); // in the third tile, after nothing but -inf
    assertArrayEquals(Arrays.copyOfRange(pass.v, 149 * 128, 150 * 128), pass.run(form, new Part(1, 0, 0, 150, 0)), form + ": all but one");
  }

  /** NaN in a key or value that one segment sees is in its rows, and in no other. */
  @ParameterizedTest
  @EnumSource
  void nanStaysWithThoseWhoSeeIt(Form form) {
    for (boolean inKeys : new boolean[] {true, false}) {
      AttentionPass pass = new AttentionPass(this, form.dtype, 2, 1, 80, 140, 6);
      float[] poisoned = inKeys ? pass.k : pass.v;
      poisoned[100 * 80 + 3] = Float.NaN;
      float[] out = pass.run(form, new Part(3, 0, 0, 100, 0), new Part(3, 101, 90, 101, 0));
      for (int i = 0; i < out.length; i++) {
        boolean poison = i / pass.rowWidth() >= 3 && (inKeys || i % 80 == 3);
        assertEquals(poison, Float.isNaN(out[i]), form + ": element " + i);
      }
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    DeviceBuffer data = buffer(DType.F32, new float[4 * 128]);
    try (Segments segments = new Segments(device, 1)) {
      segments.add(0, 1, 0, 3, 0, 5, 0);
      segments.upload(stream);
      assertThrows(IllegalArgumentException.class,
          () -> kernels.attention.launch(stream, data, new KeyValues(data, data, new Heads(1, 1, 128), 4), segments, data, 1f));
      assertThrows(IllegalArgumentException.class,
          () -> kernels.attention.launch(stream, data, new KeyValues(data, data, new Heads(1, 1, 64), 8), segments, data, 1f));
      assertThrows(IllegalArgumentException.class, () -> segments.add(0, 1, 0, 0, 0, 1, 0));
      segments.clear();
      segments.add(0, 1, 0, 0, 0, 1, 2);
      assertThrows(IllegalArgumentException.class, () -> segments.upload(stream));
    }
  }

  @Test
  void aWorkspaceIsForOneShapeOfHeads() {
    DeviceBuffer data = buffer(DType.BF16, new float[40 * 128]);
    try (Segments segments = new Segments(device, 2); AttentionWorkspace workspace = new AttentionWorkspace(stream, 4, 2, 128, 1, 8)) {
      segments.add(0, 8, 0, 0, 0, 8, 0);
      segments.upload(stream);
      assertTrue(workspace.fits(segments));
      for (int[] other : new int[][] {{2, 2, 128}, {4, 1, 128}, {4, 2, 80}}) { // heads, kv heads, head dim
        String message = assertThrows(IllegalArgumentException.class, () -> kernels.attention.launch(stream, data,
            new KeyValues(data, data, new Heads(other[0], other[1], other[2]), 8), segments, data, 1f, workspace)).getMessage();
        assertTrue(message.contains("workspace is for 4 heads, 2 kv heads, head dim 128, 1 tiles"), message);
      }
      segments.add(8, 1, 0, 0, 0, 8, 0);
      segments.upload(stream);
      assertFalse(workspace.fits(segments));
      assertThrows(IllegalArgumentException.class,
          () -> kernels.attention.launch(stream, data, new KeyValues(data, data, new Heads(4, 2, 128), 8), segments, data, 1f, workspace));
      workspace.close();
      segments.clear();
      segments.add(0, 8, 0, 0, 0, 8, 0);
      segments.upload(stream);
      assertThrows(IllegalStateException.class,
          () -> kernels.attention.launch(stream, data, new KeyValues(data, data, new Heads(4, 2, 128), 8), segments, data, 1f, workspace));
    }
    assertThrows(IllegalArgumentException.class, () -> new AttentionWorkspace(stream, 3, 2, 128, 1, 8));
  }
}
