// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.Remask;
import dev.diffusionvl.runtime.op.Segments;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** A launcher that is given something wrong says which operation and which argument, and launches nothing. */
class RefusalTest extends OpTest {
  private static final int MAX = Integer.MAX_VALUE;

  private static void refused(String op, String argument, Executable launch) {
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class, launch);
    assertTrue(e.getMessage().startsWith(op + ": " + argument), e.getMessage());
  }

  /** 64 elements, enough for every good call below. */
  private DeviceBuffer data(DType dtype) {
    return dtype == DType.I32 ? ints(new int[64]) : buffer(dtype, new float[64]);
  }

  @Test
  void rowKernels() {
    DeviceBuffer f = data(DType.F32);
    DeviceBuffer b = data(DType.BF16);
    DeviceBuffer i = data(DType.I32);
    refused("gather_rows", "table is null", () -> kernels.gatherRows.launch(stream, null, i, null, f, 2, 8, 2));
    refused("gather_rows", "table is", () -> kernels.gatherRows.launch(stream, i, i, null, f, 2, 8, 2));
    refused("gather_rows", "table is", () -> kernels.gatherRows.launch(stream, f, i, null, f, 2, 8, 9));
    refused("gather_rows", "fallback is", () -> kernels.gatherRows.launch(stream, f, i, b, f, 2, 8, 2));
    refused("gather_rows", "pick is", () -> kernels.gatherRows.launch(stream, f, f, i, null, f, null, 2, 8, 2));
    refused("gather_rows", "out is", () -> kernels.gatherRows.launch(stream, f, i, f, b, 2, 8, 2));
    refused("gather_rows", "index is", () -> kernels.gatherRows.launch(stream, f, i, null, f, 65, 1, 2));
    refused("rms_norm", "width is", () -> kernels.rmsNorm.launch(stream, f, f, f, 2, 0, 1e-6f));
    refused("rms_norm", "y is", () -> kernels.rmsNorm.launch(stream, f, f, b, 2, 8, 1e-6f));
    refused("rms_norm", "x is", () -> kernels.rmsNorm.launch(stream, f, f, f, MAX, MAX, 1e-6f)); // no overflow of rows * width
    refused("swiglu", "gate and up is", () -> kernels.swiglu.launch(stream, b, null, f, 2, 8));
    refused("swiglu", "bias is", () -> kernels.swiglu.launch(stream, b, b, b, 2, 8)); // too late: rounded already
    refused("swiglu", "gate and up is", () -> kernels.swiglu.launch(stream, f, null, f, 8, 8)); // twice the width
    refused("swiglu", "bias is", () -> kernels.swiglu.launch(stream, f, b, f, 2, 8));
    refused("residual_add", "h is null", () -> kernels.residualAdd.launch(stream, null, f, null, 2, 8));
    refused("residual_add", "rows is -1", () -> kernels.residualAdd.launch(stream, f, f, null, -1, 8));
    refused("residual_add", "bias is", () -> kernels.residualAdd.launch(stream, b, f, f, 2, 8));
    refused("residual_add", "bias is", () -> kernels.residualAdd.launch(stream, b, b, b, 2, 8));
    refused("residual_rms_norm", "bias is", () -> kernels.residualRmsNorm.launch(stream, b, b, b, b, b, 2, 8, 1e-6f));
    refused("residual_rms_norm", "acc is", () -> kernels.residualRmsNorm.launch(stream, f, b, null, f, f, 2, 8, 1e-6f));
    refused("bias_activation", "activation is -1", () -> kernels.biasActivation.launch(stream, f, null, f, 2, 8, -1));
    refused("bias_activation", "out is", () -> kernels.biasActivation.launch(stream, f, null, i, 2, 8, 0));
    refused("vision_rotary", "qkv is", () -> kernels.visionRotary.launch(stream, f, null, new Rope(f, f), f,
        new KeyValues(f, f, new Heads(1, 1, 4), 6)));
    refused("vision_rotary", "head dim is 5", () -> kernels.visionRotary.launch(stream, f, null, new Rope(f, f), f,
        new KeyValues(f, f, new Heads(1, 1, 5), 1)));
    refused("vision_rotary", "cos is null", () -> kernels.visionRotary.launch(stream, f, null, new Rope(null, f), f,
        new KeyValues(f, f, new Heads(1, 1, 4), 1)));
    refused("layer_norm", "width is 0", () -> kernels.layerNorm.launch(stream, f, f, f, f, 2, 0, 1e-6f));
    refused("layer_norm", "bias is", () -> kernels.layerNorm.launch(stream, f, f, b, f, 2, 8, 1e-6f));
    refused("layer_norm", "x is", () -> kernels.layerNorm.launch(stream, f, f, f, f, MAX, MAX, 1e-6f));
    refused("extract_patches", "patch is 5", () -> kernels.extractPatches.launch(stream, f, f, 1, 4, 8, 1, 5));
    refused("extract_patches", "number of patches is", () -> kernels.extractPatches.launch(stream, f, f, MAX, 2, 1, 1, 1));
    refused("extract_patches", "patches is", () -> kernels.extractPatches.launch(stream, f, b, 1, 4, 8, 1, 2));
    refused("position_embedding", "positions is 0", () -> kernels.positionEmbedding.launch(stream, f, b, b, b, 2, 8, 0));
    refused("position_embedding", "patches is", () -> kernels.positionEmbedding.launch(stream, b, f, f, f, 2, 8, 2));
    refused("position_embedding", "position is", () -> kernels.positionEmbedding.launch(stream, b, b, b, b, 2, 8, 9));
    refused("blend_rows", "weight is", () -> kernels.blendRows.launch(stream, b, i, b, b, 2, 8, 2));
    refused("blend_rows", "index is", () -> kernels.blendRows.launch(stream, b, i, f, b, 17, 1, 2));
    refused("vision_rotary", "keys is", () -> kernels.visionRotary.launch(stream, f, b, new Rope(f, f), b,
        new KeyValues(f, b, new Heads(1, 1, 4), 1)));
  }

  @Test
  void choices() {
    DeviceBuffer f = data(DType.F32);
    DeviceBuffer b = data(DType.BF16);
    DeviceBuffer i = data(DType.I32);
    refused("confidence", "excluded id is 8", () -> kernels.confidence.launch(stream, f, new Predictions(i, f, f, f), 2, 8, 8));
    refused("confidence", "excluded id is -2", () -> kernels.confidence.launch(stream, f, new Predictions(i, f, f, f), 2, 8, -2));
    refused("confidence", "token is", () -> kernels.confidence.launch(stream, b, new Predictions(f, f, f, f), 2, 8, -1));
    refused("confidence", "row sum is null", () -> kernels.confidence.launch(stream, b, new Predictions(i, f, f, null), 2, 8, -1));
    refused("confidence", "logits is", () -> kernels.confidence.launch(stream, b, new Predictions(i, f, f, f), 9, 8, -1));
    refused("confidence", "legal is", () -> kernels.confidence.launch(stream, b, new Predictions(i, f, f, f), 2, 8, -1, f));
    refused("confidence", "legal is", () -> kernels.confidence.launch(stream, b, new Predictions(i, f, f, f), 2, 8, -1, i.slice(0, 1)));
    refused("sample", "temperature is -1.0", () -> new Sample.Rule(-1f, 0, 1f, -1, 1, false));
    refused("sample", "temperature is NaN", () -> new Sample.Rule(Float.NaN, 0, 1f, -1, 1, false));
    refused("sample", "top-k is -1", () -> new Sample.Rule(1f, -1, 1f, -1, 1, false));
    refused("sample", "top-p is 0.0", () -> new Sample.Rule(1f, 0, 0f, -1, 1, false));
    Blocks blocks = new Blocks(ints(new int[2 * Blocks.words(8, 1)]), 2, 8, 1);
    Predictions to = new Predictions(i, f);
    SampleWorkspace draws = own(new SampleWorkspace(stream, 16));
    refused("sample", "uniforms is", () -> kernels.sample.launch(stream, draws, f, 1, to, 0, 16, blocks, i, 2, f, false));
    refused("sample", "logits is", () -> kernels.sample.launch(stream, draws, f, 8, to, 0, 16, blocks, i, 2, null, false));
    refused("sample", "first is", () -> kernels.sample.launch(stream, draws, f, 8, to, 2, 1, blocks, i, 2, null, false));
    refused("sample", "legal is", () -> kernels.sample.launch(stream, draws, f, 1, to, 0, 16, blocks, i, 2, null, false, f));
    refused("sample", "tasks is", () -> kernels.sample.launch(stream, draws, f, 1, to, 0, 16, blocks, i.slice(0, 7), 2, null, false));
    refused("sample", "rows, more than those of the workspace, is 16", () -> kernels.sample.launch(stream,
        own(new SampleWorkspace(stream, 15)), f, 1, to, 0, 16, blocks, i, 2, null, false));
    refused("remask", "positions", () -> new Remask.Rule(false, 0, -1, 1, 0));
    refused("remask", "positions 1, steps 0", () -> new Remask.Rule(false, 0, 1, 0, 0));
    refused("remask", "positions 1, steps 1, drafts -1", () -> new Remask.Rule(false, 0, 1, 1, -1));
    refused("remask", "count is -1", () -> kernels.remask.launch(stream, to, 16, blocks, i, -1, 1));
    refused("remask", "predicted is -1", () -> kernels.remask.launch(stream, to, -1, blocks, i, 1, 1));
    refused("remask", "probability is", () -> kernels.remask.launch(stream, new Predictions(i, b), 16, blocks, i, 2, 1));
    refused("remask", "token is", () -> kernels.remask.launch(stream, to, 65, blocks, i, 2, 1));
    refused("remask", "table is", () -> kernels.remask.launch(stream, to, 16, new Blocks(i, 2, 8, 1), i, 2, 1));
    refused("remask", "tasks is", () -> kernels.remask.launch(stream, to, 16, blocks, i, 17, 1));
  }

  @Test
  void kernelsOverSegments() {
    DeviceBuffer f = buffer(DType.F32, new float[4 * 128]);
    DeviceBuffer small = buffer(DType.F32, new float[3]);
    DeviceBuffer b = buffer(DType.BF16, new float[4 * 128]);
    try (Segments segments = new Segments(device, 1)) {
      segments.add(0, 2, 5, 1, 0, 1, Segments.Own.SELF); // positions up to 7, slots up to 3
      segments.upload(stream);
      refused("attention", "keys is", () -> kernels.attention.launch(stream, f, new KeyValues(b, f, new Heads(2, 1, 128), 4), segments, f,
          1f));
      refused("attention", "values is", () -> kernels.attention.launch(stream, f, new KeyValues(f, small, new Heads(2, 1, 128), 4),
          segments, f,
          1f));
      refused("attention", "q is", () -> kernels.attention.launch(stream, small, new KeyValues(f, f, new Heads(2, 1, 128), 4), segments, f,
          1f));
      refused("attention", "heads is 3", () -> kernels.attention.launch(stream, f, new KeyValues(f, f, new Heads(3, 2, 128), 4), segments,
          f, 1f));
      refused("attention", "kv heads is 0", () -> kernels.attention.launch(stream, f, new KeyValues(f, f, new Heads(2, 0, 128), 4),
          segments, f, 1f));
      refused("attention", "highest slot", () -> kernels.attention.launch(stream, f, new KeyValues(f, f, new Heads(2, 1, 128), 2), segments,
          f, 1f));
      refused("attention", "head dim", () -> kernels.attention.launch(stream, f, new KeyValues(f, f, new Heads(2, 1, 64), 4), segments, f,
          1f));
      refused("rope_kv_append", "cos is", () -> kernels.ropeKvAppend.launch(stream, f, null, new Rope(f.slice(0, 6), f), segments, f,
          new KeyValues(f, f, new Heads(1, 1, 2), 4)));
      refused("rope_kv_append", "sin is", () -> kernels.ropeKvAppend.launch(stream, f, null, new Rope(f, f.slice(0, 6)), segments, f,
          new KeyValues(f, f, new Heads(1, 1, 2), 4)));
      refused("rope_kv_append", "qkv is", () -> kernels.ropeKvAppend.launch(stream, small, null, new Rope(f, f), segments, f,
          new KeyValues(f, f, new Heads(1, 1, 2), 4)));
      refused("rope_kv_append", "bias is", () -> kernels.ropeKvAppend.launch(stream, f, b, new Rope(f, f), segments, f,
          new KeyValues(f, f, new Heads(1, 1, 2), 4)));
      refused("rope_kv_append", "values is", () -> kernels.ropeKvAppend.launch(stream, f, null, new Rope(f, f), segments, f,
          new KeyValues(f, b, new Heads(1, 1, 2), 4)));
      refused("rope_kv_append", "highest slot", () -> kernels.ropeKvAppend.launch(stream, f, null, new Rope(f, f), segments, f,
          new KeyValues(f, f, new Heads(1, 1, 2), 2)));
      segments.clear();
      assertThrows(IllegalStateException.class, () -> kernels.attention.launch(stream, f, new KeyValues(f, f, new Heads(2, 1, 128), 4),
          segments, f, 1f),
          "cleared, but not uploaded again");
    }
  }

  /** Sizes whose product no long holds: the buffer is too small, whatever the product's last 64 bits say. */
  @Test
  void productsOfSizesThatOverflow() {
    DeviceBuffer f = buffer(DType.F32, new float[512]);
    DeviceBuffer i = data(DType.I32);
    int side = 1 << 30;
    refused("extract_patches", "images is", () -> kernels.extractPatches.launch(stream, f, f, MAX, 92_679, 92_679, 1, 46_340));
    refused("extract_patches", "values of a patch is", () -> kernels.extractPatches.launch(stream, f, f, 1, side, side, 4, side));
    refused("swiglu", "gate and up is", () -> kernels.swiglu.launch(stream, f, null, f, MAX, MAX));
    refused("residual_add", "h is", () -> kernels.residualAdd.launch(stream, f, f, null, MAX, MAX));
    refused("residual_rms_norm", "h is", () -> kernels.residualRmsNorm.launch(stream, f, f, null, f, f, MAX, MAX, 1e-6f));
    Predictions none = new Predictions(i, f);
    refused("remask", "table is", () -> kernels.remask.launch(stream, none, 0, new Blocks(i, MAX, 500_000_000, 1), i, 0, 1));
    refused("remask", "tasks is", () -> kernels.remask.launch(stream, none, 0, new Blocks(i, 1, 1, 1), i, MAX, 1));
    refused("vision_rotary", "columns of q", () -> kernels.visionRotary.launch(stream, f, null, null, f,
        new KeyValues(f, f, new Heads(1 << 30, 1 << 30, 4), 0)));
    try (Segments segments = new Segments(device, 1)) {
      segments.add(0, 2, 0, 0, 0, 2, Segments.Own.NONE);
      segments.upload(stream);
      KeyValues wide = new KeyValues(f, f, new Heads(1 << 30, 1 << 30, 1 << 30), 1 << 30);
      refused("rope_kv_append", "keys is", () -> kernels.ropeKvAppend.launch(stream, f, null, new Rope(f, f), segments, f, wide));
      refused("attention", "keys is", () -> kernels.attention.launch(stream, f, new KeyValues(f, f, new Heads(1 << 30, 1 << 30, 128), MAX),
          segments, f, 1f));
    }
  }

  @Test
  void segmentsThatCannotBe() {
    refused("segments", "capacity", () -> new Segments(device, 0));
    try (Segments segments = new Segments(device, 2)) {
      refused("segments", "row -1", () -> segments.add(-1, 1, 0, 0, 0, 1, Segments.Own.NONE));
      refused("segments", "row 0, rows -1", () -> segments.add(0, -1, 0, 0, 0, 1, Segments.Own.NONE));
      refused("segments", "row 0, rows 1, position -1", () -> segments.add(0, 1, -1, 0, 0, 1, Segments.Own.NONE));
      refused("segments", "row 0, rows 1, position 0, slot -1", () -> segments.add(0, 1, 0, -1, 0, 1, Segments.Own.NONE));
      refused("segments", "row 0", () -> segments.add(0, 1, 0, 0, -1, 1, Segments.Own.NONE));
      refused("segments", "row 0", () -> segments.add(0, 1, 0, 0, 3, 2, Segments.Own.NONE));
      assertEquals(0, segments.count());
      segments.add(2, 3, 0, 0, 0, 0, Segments.Own.NONE);
      segments.add(5, 7, 0, 0, 0, 0, Segments.Own.NONE);
      assertEquals(12, segments.totalRows());
      assertEquals(7, segments.maxRows());
      refused("segments", "more than 2", () -> segments.add(0, 1, 0, 0, 0, 1, Segments.Own.NONE));
    }
  }
}
