// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/**
 * Every operand of every launcher, one element off the alignment that device memory has, in widths of whole pieces, where kernels would
 * like to use accesses of 16 bytes. Either the launcher refuses it by name, or the kernel runs: a misaligned access would make a GPU lose
 * the whole context. The emulated device ends such a kernel as a GPU does.
 */
class UnalignedOperandsTest extends OpTest {
  private static final int N = 4096; // elements of each operand, more than any launch below needs

  private final Set<String> attacked = new TreeSet<>();
  private DType[] dtypes = FLOATS; // that T stands for

  private interface Launch {
    void with(List<DeviceBuffer> buffers);
  }

  private DeviceBuffer operand(DType dtype, int shift) {
    DeviceBuffer buffer = own(device.allocate("operand", dtype, N + shift));
    stream.fill(buffer, 0);
    return buffer.slice(shift, N);
  }

  /** The operands by their types, each shifted in turn. */
  private void attack(String op, List<DType> types, Launch launch) {
    attacked.add(op);
    List<DeviceBuffer> good = types.stream().map(t -> operand(t, 0)).collect(Collectors.toList());
    launch.with(good);
    stream.synchronize();
    for (int i = 0; i < types.size(); i++) {
      List<DeviceBuffer> moved = new ArrayList<>(good);
      moved.set(i, operand(types.get(i), 1));
      try {
        launch.with(moved);
      } catch (IllegalArgumentException e) {
        assertTrue(e.getMessage().startsWith(op + ": ") && e.getMessage().contains("does not start at a multiple of"), e.getMessage());
      }
      stream.synchronize();
    }
  }

  /** Like {@link #attack}, for each of {@link #dtypes}. */
  private void attack(String op, String types, Launch launch) {
    for (DType t : dtypes) {
      attack(op, Arrays.stream(types.split(" ")).map(name -> name.equals("T") ? t : DType.valueOf(name)).toList(), launch);
    }
  }

  @Test
  void everyLauncher() {
    rows();
    products();
    choices();
    overSegments();
    training();
    Set<String> all = Arrays.stream(Kernels.class.getFields()).map(f -> f.getName().replaceAll("([A-Z]|8bit)", "_$1").toLowerCase())
        .collect(Collectors.toCollection(TreeSet::new));
    assertEquals(all, attacked, "launchers in Kernels, launchers above");
  }

  private void rows() {
    attack("rms_norm", "T T T", b -> kernels.rmsNorm.launch(stream, b.get(0), b.get(1), b.get(2), 2, 64, 1e-6f));
    attack("layer_norm", "T T T T", b -> kernels.layerNorm.launch(stream, b.get(0), b.get(1), b.get(2), b.get(3), 2, 64, 1e-6f));
    attack("row_squares", "T F32", b -> kernels.rowSquares.launch(stream, b.get(0), b.get(1), 2, 64));
    attack("gather_rows", "T I32 T T F32",
        b -> kernels.gatherRows.launch(stream, b.get(0), null, b.get(1), b.get(2), b.get(3), b.get(4), 2, 64, 3));
    attack("gather_rows", "T I32 I32 T T F32",
        b -> kernels.gatherRows.launch(stream, b.get(0), b.get(1), b.get(2), b.get(3), b.get(4), b.get(5), 2, 64, 3));
    attack("blend_rows", "T I32 F32 T", b -> kernels.blendRows.launch(stream, b.get(0), b.get(1), b.get(2), b.get(3), 2, 64, 3));
    attack("extract_patches", "T T", b -> kernels.extractPatches.launch(stream, b.get(0), b.get(1), 1, 16, 16, 8, 8));
    attack("fill_normal", "T", b -> kernels.fillNormal.launch(stream, b.get(0), 0, 1, 1));
    attack("read_sum", "T F32", b -> kernels.readSum.launch(stream, b.get(0), b.get(1)));
    for (String acc : List.of("F32", "T")) { // accumulators take a bias, rounded products do not
      attack("swiglu", acc + " T T", b -> kernels.swiglu.launch(stream, b.get(0), take(b, 1), b.get(2), 2, 64));
      attack("residual_add", "T " + acc + " T", b -> kernels.residualAdd.launch(stream, b.get(0), b.get(1), take(b, 2), 2, 64));
      attack("residual_rms_norm", "T " + acc + " T T T", b -> kernels.residualRmsNorm.launch(stream, b.get(0), b.get(1), take(b, 2),
          b.get(3),
          b.get(4), 2, 64, 1e-6f));
      attack("position_embedding", acc + " T T T",
          b -> kernels.positionEmbedding.launch(stream, b.get(0), b.get(1), b.get(2), b.get(3), 4, 64, 2));
    }
    attack("bias_activation", "F32 T T", b -> kernels.biasActivation.launch(stream, b.get(0), b.get(1), b.get(2), 2, 64, 1));
    attack("vision_rotary", "F32 T F32 F32 T T T", b -> kernels.visionRotary.launch(stream, b.get(0), b.get(1), new Rope(b.get(2),
        b.get(3)),
        b.get(4), new KeyValues(b.get(5), b.get(6), new Heads(2, 2, 16), 2)));
  }

  /** The bias, unless the first operands are rounded already. */
  private static DeviceBuffer take(List<DeviceBuffer> b, int index) {
    boolean accumulators = b.get(index == 1 ? 0 : 1).dtype() == DType.F32;
    return accumulators ? b.get(index) : null;
  }

  private void products() {
    try (SkinnyWorkspace workspace = new SkinnyWorkspace(stream, 8)) {
      attack("skinny_gemm", "T T T", b -> kernels.skinnyGemm.launch(stream, workspace, b.get(0), b.get(1), b.get(2), 2, 16, 64));
      attack("skinny_residual", "T T T F32",
          b -> kernels.skinnyResidual.launch(stream, workspace, b.get(0), b.get(1), new Residual(b.get(2), b.get(3)), 2, 16, 64));
      attack("skinny_swiglu", "T F32 T T T", b -> kernels.skinnySwiglu.launch(stream, workspace, new Residual(b.get(0), b.get(1)),
          new NormedLinear(b.get(2), 1e-6f, b.get(3), null, 32, 64), b.get(4), 2));
      attack("skinny_confidence", "T F32 T T F32 I32 F32 F32 F32 I32",
          b -> kernels.skinnyConfidence.launch(stream, workspace, new Residual(b.get(0), b.get(1)),
              new NormedLinear(b.get(2), 1e-6f, b.get(3), null, 32, 64), b.get(4),
              new Predictions(b.get(5), b.get(6), b.get(7), b.get(8)), 2, -1, b.get(9)));
      PackedLayout layout = new PackedLayout(WeightForm.INT4, 16, 64, false, 5);
      attack("skinny_gemm", "BF16 U8 F32 U8 F32", b -> kernels.skinnyGemm.launch(stream, workspace, b.get(0),
          new WeightMatrix.Packed(layout, b.get(1), b.get(2), b.get(3)), b.get(4), 2));
      attack("pack_weights", "U8 U8", b -> kernels.packWeights.launch(stream, WeightForm.INT4, b.get(0), 32, b.get(1)));
      attack("expand_weights", "U8 F32 U8 BF16",
          b -> kernels.expandWeights.launch(stream, new WeightMatrix.Packed(layout, b.get(0), b.get(1), b.get(2)), b.get(3)));
      try (Segments segments = twoRows()) {
        attack("skinny_qkv", "T F32 T T T F32 F32 T T T", b -> kernels.skinnyQkv.launch(stream, workspace, new Residual(b.get(0), b.get(1)),
            new NormedLinear(b.get(2), 1e-6f, b.get(3), b.get(4), 512, 8), new Rope(b.get(5), b.get(6)), segments, b.get(7),
            new KeyValues(b.get(8), b.get(9), new Heads(2, 1, 128), 6)));
      }
    }
  }

  private void choices() {
    attack("confidence", "T I32 F32 F32 F32 I32",
        b -> kernels.confidence.launch(stream, b.get(0), new Predictions(b.get(1), b.get(2), b.get(3), b.get(4)), 2, 64, -1, b.get(5)));
    int[] slot = Blocks.masked(8, new Remask.Rule(false, 0f, 8, 4, 0), new Sample.Rule(1f, 8, 0.9f, -1, 1, true), 1);
    SampleWorkspace workspace = own(new SampleWorkspace(stream, 8));
    attack("sample", "T F64 I32 F32 I32 I32", b -> {
      b.get(4).set(stream, slot);
      b.get(5).set(stream, 0, 0, 1, 0);
      kernels.sample.launch(stream, workspace, b.get(0), 64, new Predictions(b.get(2), b.get(3)), 0, 8, new Blocks(b.get(4), 1, 8, 1),
          b.get(5), 1, b.get(1), true);
    });
    attack("remask", "I32 F32 I32 I32", b -> {
      b.get(2).set(stream, slot);
      b.get(3).set(stream, 0, 0, 1, 0);
      kernels.remask.launch(stream, new Predictions(b.get(0), b.get(1)), 8, new Blocks(b.get(2), 1, 8, 1), b.get(3), 1, 1);
    });
  }

  private Segments twoRows() {
    Segments segments = new Segments(device, 1);
    segments.add(0, 2, 3, 4, 0, 6, Segments.Own.NONE); // 2 rows, positions 3 and 4, slots 4 and 5
    segments.upload(stream);
    return segments;
  }

  private void overSegments() {
    Heads heads = new Heads(2, 1, 80);
    try (Segments segments = twoRows(); AttentionWorkspace workspace = new AttentionWorkspace(stream, 2, 1, 80, 1, 2, 6)) {
      for (AttentionWorkspace splits : Arrays.asList(null, workspace)) {
        attack("attention", "T T T T",
            b -> kernels.attention.launch(stream, b.get(0), new KeyValues(b.get(1), b.get(2), heads, 6), segments, b.get(3), 1f, splits));
      }
      attack("attention", "T T T T F32", b -> kernels.attention.launchForTraining(stream, b.get(0),
          new KeyValues(b.get(1), b.get(2), heads, 6), segments, b.get(3), b.get(4), 1f));
      attack("rope_kv_append", "F32 T F32 F32 T T T", b -> kernels.ropeKvAppend.launch(stream, b.get(0), b.get(1),
          new Rope(b.get(2), b.get(3)), segments, b.get(4), new KeyValues(b.get(5), b.get(6), new Heads(2, 1, 16), 6)));
    }
  }

  private void training() {
    dtypes = TRAINED;
    Heads heads = new Heads(2, 1, 80);
    try (Segments segments = twoRows()) {
      attack("rope_backward", "T T T F32 F32 T", b -> kernels.ropeBackward.launch(stream, b.get(0),
          new KeyValues(b.get(1), b.get(2), new Heads(2, 1, 16), 6), new Rope(b.get(3), b.get(4)), segments, b.get(5)));
      attack("attention_backward", "T T T T F32 T T T T F32", b -> kernels.attentionBackward.launch(stream, b.get(0),
          new KeyValues(b.get(1), b.get(2), heads, 6), segments, b.get(3), b.get(4), b.get(5), b.get(6),
          new KeyValues(b.get(7), b.get(8), heads, 6), b.get(9), 1f));
    }
    attack("column_sum", "T F32", b -> kernels.columnSum.launch(stream, b.get(0), b.get(1), 2, 64));
    attack("rms_norm_backward", "T T T T F32 F32", b -> kernels.rmsNormBackward.launch(stream, b.get(0), b.get(1), b.get(2), b.get(3),
        b.get(4), b.get(5), 2, 64, 1e-6f));
    attack("layer_norm_backward", "T T T T F32 F32 F32", b -> kernels.layerNormBackward.launch(stream, b.get(0), b.get(1), b.get(2),
        b.get(3), b.get(4), b.get(5), b.get(6), 2, 64, 1e-6f));
    attack("swiglu_backward", "T T T", b -> kernels.swigluBackward.launch(stream, b.get(0), b.get(1), b.get(2), 2, 64));
    attack("activation_backward", "T T T", b -> kernels.activationBackward.launch(stream, b.get(0), b.get(1), b.get(2), 128, 1));
    attack("scatter_add_rows", "T I32 I32 I32 F32", b -> kernels.scatterAddRows.launch(stream, b.get(0), b.get(1), b.get(2), b.get(3),
        b.get(4), 1, 64));
    attack("cross_entropy", "T I32 F32 F32", b -> kernels.crossEntropy.launch(stream, b.get(0), b.get(1), b.get(2), b.get(3), 2, 64));
    Adamw.Settings settings = new Adamw.Settings(1e-3f, 0.9f, 0.999f, 1e-8f, 0f, 1);
    attack("adamw", "F32 T F32 F32 F32 F32", b -> kernels.adamw.launch(stream, b.get(0), b.get(1), b.get(2), b.get(3), b.get(4), b.get(5),
        settings));
    attack("adamw_8bit", "F32 T U8 F32 U8 F32 F32 F32", b -> kernels.adamw8bit.launch(stream, b.get(0), b.get(1),
        new Adamw8bit.Moments(b.get(2), b.get(3), b.get(4), b.get(5)), b.get(6), b.get(7), settings, 1));
    attack("gradient_norm", "F32 F64 F32", b -> kernels.gradientNorm.launch(stream, b.get(0), b.get(1), b.get(2), 1f));
  }
}
