// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.AttentionWorkspace;
import dev.diffusionvl.runtime.op.Segments;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** What a kernel leaves alone: memory behind its result, cache slots that nobody sees, rows beside a bad one, everything at 0 rows. */
class FootprintTest extends OpTest {
  private static final int GUARD = 40;

  /** A result with room behind it; all of it NaN. */
  private DeviceBuffer guarded(DType dtype, int n) {
    return empty(dtype, n + GUARD);
  }

  /** Every element before the guard is written, none behind. */
  private void assertWritten(String what, DeviceBuffer result) {
    float[] values = result.getFloats(stream);
    for (int i = 0; i < values.length; i++) {
      assertEquals(i >= values.length - GUARD, Float.isNaN(values[i]), what + ": element " + i + " of " + (values.length - GUARD));
    }
  }

  @Test
  void rowKernelsStopAtTheEndOfTheirResult() {
    for (DType dtype : FLOATS) {
      for (int width : new int[] {3, 4, 8, 1021, 1024, 1028}) {
        int rows = 3;
        DeviceBuffer x = buffer(dtype, normal(dtype, rows * width, 1));
        DeviceBuffer weight = buffer(dtype, normal(dtype, width, 1));
        DeviceBuffer acc = buffer(DType.F32, normal(DType.F32, 2 * rows * width, 1));
        DeviceBuffer y = guarded(dtype, rows * width);
        kernels.rmsNorm.launch(stream, x, weight, y, rows, width, 1e-6f);
        assertWritten("rms_norm " + width, y);
        y = guarded(dtype, rows * width);
        kernels.layerNorm.launch(stream, x, weight, weight, y, rows, width, 1e-6f);
        assertWritten("layer_norm " + width, y);
        y = guarded(dtype, rows * width);
        kernels.positionEmbedding.launch(stream, acc, weight, x, y, rows, width, 2);
        assertWritten("position_embedding " + width, y);
        y = guarded(dtype, rows * width);
        kernels.blendRows.launch(stream, x, ints(new int[4 * rows]), buffer(DType.F32, normal(DType.F32, 4 * rows, 1)), y, rows, width,
            rows);
        assertWritten("blend_rows " + width, y);
        y = guarded(dtype, rows * width);
        kernels.swiglu.launch(stream, acc, null, y, rows, width);
        assertWritten("swiglu " + width, y);
        y = guarded(dtype, rows * width);
        kernels.biasActivation.launch(stream, acc, weight, y, rows, width, 2);
        assertWritten("bias_activation " + width, y);
        y = guarded(dtype, rows * width);
        kernels.gatherRows.launch(stream, x, ints(2, 0, 2), null, y, rows, width, rows);
        assertWritten("gather_rows " + width, y);
        y = guarded(dtype, rows * width);
        stream.copy(x, y);
        kernels.residualAdd.launch(stream, y, acc, null, rows, width);
        assertWritten("residual_add " + width, y);
        DeviceBuffer h = guarded(dtype, rows * width);
        y = guarded(dtype, rows * width);
        stream.copy(x, h);
        kernels.residualRmsNorm.launch(stream, h, acc, null, weight, y, rows, width, 1e-6f);
        assertWritten("residual_rms_norm h " + width, h);
        assertWritten("residual_rms_norm y " + width, y);
      }
    }
  }

  @Test
  void rmsNormWorksInPlaceAndKeepsABadRowToItself() {
    for (DType dtype : FLOATS) {
      int width = 133;
      float[] x = normal(dtype, 3 * width, 1);
      x[width + 77] = Float.NaN;
      DeviceBuffer weight = buffer(dtype, normal(dtype, width, 1));
      DeviceBuffer y = empty(dtype, x.length);
      DeviceBuffer inPlace = buffer(dtype, x);
      kernels.rmsNorm.launch(stream, buffer(dtype, x), weight, y, 3, width, 1e-6f);
      kernels.rmsNorm.launch(stream, inPlace, weight, inPlace, 3, width, 1e-6f);
      float[] values = y.getFloats(stream);
      for (int i = 0; i < values.length; i++) {
        assertEquals(i / width == 1, Float.isNaN(values[i]), "element " + i);
      }
      assertArrayEquals(values, inPlace.getFloats(stream));
    }
  }

  /** NaN in every slot that no segment sees: weights of 0 would not hide it. */
  @Test
  void attentionReadsVisibleSlotsOnly() {
    for (DType dtype : FLOATS) {
      for (int dim : new int[] {128, 80, 72}) {
        int kvHeads = 2;
        int slots = 330;
        boolean[] visible = new boolean[slots];
        Arrays.fill(visible, 7, 190, true); // context of both segments
        Arrays.fill(visible, 200, 205, true); // first segment
        Arrays.fill(visible, 321, 324, true); // second segment
        DeviceBuffer k = buffer(dtype, cache(dtype, kvHeads, visible, dim));
        DeviceBuffer v = buffer(dtype, cache(dtype, kvHeads, visible, dim));
        DeviceBuffer q = buffer(dtype, normal(dtype, 8 * 4 * dim, 1));
        DeviceBuffer out = guarded(dtype, 8 * 4 * dim);
        try (Segments segments = new Segments(device, 3);
            AttentionWorkspace workspace = new AttentionWorkspace(stream, 4, kvHeads, dim, 2, 5, slots)) {
          segments.add(0, 5, 0, 200, 7, 190, Segments.Own.SELF);
          segments.add(5, 3, 0, 321, 9, 150, Segments.Own.CAUSAL);
          segments.upload(stream);
          kernels.attention.launch(stream, q, new KeyValues(k, v, new Heads(4, kvHeads, dim), slots), segments, out, 0.1f);
          assertWritten("attention " + dtype + " " + dim, out);
          stream.fill(out, 0xff);
          kernels.attention.launch(stream, q, new KeyValues(k, v, new Heads(4, kvHeads, dim), slots), segments, out, 0.1f, workspace);
        }
        assertWritten("attention with split keys " + dtype + " " + dim, out);
      }
    }
  }

  private float[] cache(DType dtype, int kvHeads, boolean[] visible, int dim) {
    float[] values = normal(dtype, kvHeads * visible.length * dim, 1);
    for (int i = 0; i < values.length; i++) {
      if (!visible[i / dim % visible.length]) {
        values[i] = Float.NaN;
      }
    }
    return values;
  }

  /** Two segments of two rows with the same queries over the same context: a row's result shows how much of its own segment it sees. */
  @Test
  void hiddenRowsDoNotCount() {
    int dim = 128;
    float[] row = normal(DType.F32, dim, 1);
    float[] q = new float[4 * dim];
    for (int i = 0; i < 4; i++) {
      System.arraycopy(row, 0, q, i * dim, dim);
    }
    DeviceBuffer k = buffer(DType.F32, normal(DType.F32, 8 * dim, 1));
    for (Segments.Own own : Segments.Own.values()) {
      DeviceBuffer out = empty(DType.F32, q.length);
      try (Segments segments = new Segments(device, 2)) {
        segments.add(0, 2, 0, 4, 0, 4, Segments.Own.NONE);
        segments.add(2, 2, 0, 6, 0, 4, own);
        segments.upload(stream);
        kernels.attention.launch(stream, buffer(DType.F32, q), new KeyValues(k, k, new Heads(1, 1, dim), 8), segments, out, 0.1f);
      }
      float[] values = out.getFloats(stream);
      assertTrue(Arrays.equals(values, 0, dim, values, dim, 2 * dim), "the first segment sees its context alone");
      assertEquals(own == Segments.Own.NONE, Arrays.equals(values, 0, dim, values, 2 * dim, 3 * dim), own + ": context and itself");
      boolean rowsAlike = Arrays.equals(values, 2 * dim, 3 * dim, values, 3 * dim, 4 * dim);
      assertEquals(own != Segments.Own.CAUSAL, rowsAlike, own + ": row 0 and row 1");
    }
  }

  @Test
  void noRowsIsNoWork() {
    DeviceBuffer f = empty(DType.F32, 8);
    DeviceBuffer g = empty(DType.F32, 8);
    DeviceBuffer i = ints(5, 5, 5);
    kernels.gatherRows.launch(stream, f, i, null, g, 0, 4, 2);
    kernels.rmsNorm.launch(stream, f, f, g, 0, 4, 1e-6f);
    kernels.swiglu.launch(stream, f, null, g, 0, 4);
    kernels.residualAdd.launch(stream, g, f, null, 0, 4);
    kernels.residualRmsNorm.launch(stream, g, f, null, f, g, 0, 4, 1e-6f);
    kernels.biasActivation.launch(stream, f, null, g, 0, 4, 0);
    kernels.visionRotary.launch(stream, f, null, new Rope(f, f), g, new KeyValues(g, g, new Heads(1, 1, 8), 0));
    kernels.layerNorm.launch(stream, f, f, f, g, 0, 4, 1e-6f);
    kernels.extractPatches.launch(stream, f, g, 0, 2, 2, 1, 1);
    kernels.positionEmbedding.launch(stream, f, f, f, g, 0, 4, 2);
    kernels.blendRows.launch(stream, f, i, f, g, 0, 4, 2);
    kernels.confidence.launch(stream, f, new Predictions(i, g, g, g), 0, 4, -1);
    Blocks noBlocks = new Blocks(ints(new int[Blocks.words(0, 1)]), 1, 0, 1);
    kernels.sample.launch(stream, own(new SampleWorkspace(stream, 0)), f, 4, new Predictions(i, g), 0, 0, noBlocks, i, 0, null, false);
    kernels.remask.launch(stream, new Predictions(i, g), 0, noBlocks, i, 0, 1);
    try (Segments segments = new Segments(device, 1)) {
      segments.upload(stream);
      kernels.ropeKvAppend.launch(stream, f, null, new Rope(f, f), segments, g, new KeyValues(g, g, new Heads(1, 1, 8), 1));
      kernels.attention.launch(stream, f, new KeyValues(empty(DType.F32, 128), empty(DType.F32, 128), new Heads(1, 1, 128), 1), segments, g,
          1f);
    }
    for (float x : g.getFloats(stream)) {
      assertTrue(Float.isNaN(x), "written: " + x);
    }
    assertArrayEquals(new int[] {5, 5, 5}, i.getInts(stream));
  }
}
