// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.op.Remask;
import dev.diffusionvl.runtime.op.Segments;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/**
 * Every buffer of every launcher, spoilt in turn: one element short, of another dtype, closed, of another device. The launch must be
 * refused with a message that names kernel and argument, before anything reaches the device.
 */
class LauncherChecksTest extends OpTest {
  /** A buffer argument: its name in messages, dtype and least number of elements. */
  private record Argument(String name, DType dtype, long elements) {}

  private interface Launch {
    void with(List<DeviceBuffer> buffers);
  }

  private static Argument f32(String name, long elements) {
    return new Argument(name, DType.F32, elements);
  }

  private static Argument bf16(String name, long elements) {
    return new Argument(name, DType.BF16, elements);
  }

  private static Argument u8(String name, long elements) {
    return new Argument(name, DType.U8, elements);
  }

  /** Keys and values as codes from four of the buffers. */
  private static KeyValues coded(List<DeviceBuffer> buffers, int from) {
    return new KeyValues(buffers.get(from), buffers.get(from + 1), new Heads(2, 1, KeyValues.CODED_DIM), 6,
        new KeyValues.Scales(buffers.get(from + 2), buffers.get(from + 3)));
  }

  private static Argument i32(String name, long elements) {
    return new Argument(name, DType.I32, elements);
  }

  private void check(String kernel, List<Argument> arguments, Launch launch) {
    List<DeviceBuffer> good = new ArrayList<>();
    for (Argument a : arguments) {
      good.add(own(device.allocate("fitting " + a.name(), a.dtype(), a.elements())));
      stream.fill(good.getLast(), 0);
    }
    launch.with(good);
    stream.synchronize(); // the unspoilt launch is accepted and runs
    for (int i = 0; i < arguments.size(); i++) {
      Argument a = arguments.get(i);
      DeviceBuffer closed = device.allocate("closed one", a.dtype(), a.elements());
      closed.close();
      refused(kernel, a, launch, replaced(good, i, own(device.allocate("short one", a.dtype(), a.elements() - 1))));
      refused(kernel, a, launch, replaced(good, i, own(device.allocate("wrong one", DType.F64, a.elements()))));
      List<DeviceBuffer> withClosed = replaced(good, i, closed);
      IllegalStateException e = assertThrows(IllegalStateException.class, () -> launch.with(withClosed), a.name());
      assertTrue(e.getMessage().startsWith(kernel + ": " + a.name() + " is buffer 'closed one'"), e.getMessage());
      try (Device another = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
          DeviceBuffer foreign = another.allocate("foreign one", a.dtype(), a.elements())) {
        refused(kernel, a, launch, replaced(good, i, foreign));
      }
    }
  }

  private static List<DeviceBuffer> replaced(List<DeviceBuffer> buffers, int index, DeviceBuffer by) {
    List<DeviceBuffer> changed = new ArrayList<>(buffers);
    changed.set(index, by);
    return changed;
  }

  private static void refused(String kernel, Argument argument, Launch launch, List<DeviceBuffer> buffers) {
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> launch.with(buffers), kernel + ": " + argument.name());
    assertTrue(e.getMessage().startsWith(kernel + ": " + argument.name()), e.getMessage());
  }

  @Test
  void rowOperations() {
    check("rms_norm", List.of(f32("x", 14), f32("weight", 7), f32("y", 14)),
        b -> kernels.rmsNorm.launch(stream, b.get(0), b.get(1), b.get(2), 2, 7, 1e-6f));
    check("swiglu", List.of(f32("gate and up", 28), f32("bias", 14), f32("out", 14)),
        b -> kernels.swiglu.launch(stream, b.get(0), b.get(1), b.get(2), 2, 7));
    check("residual_add", List.of(f32("h", 14), f32("acc", 14), f32("bias", 7)),
        b -> kernels.residualAdd.launch(stream, b.get(0), b.get(1), b.get(2), 2, 7));
    check("residual_rms_norm", List.of(f32("h", 14), f32("acc", 14), f32("bias", 7), f32("weight", 7), f32("y", 14)),
        b -> kernels.residualRmsNorm.launch(stream, b.get(0), b.get(1), b.get(2), b.get(3), b.get(4), 2, 7, 1e-6f));
    check("bias_activation", List.of(f32("acc", 14), f32("bias", 7), f32("out", 14)),
        b -> kernels.biasActivation.launch(stream, b.get(0), b.get(1), b.get(2), 2, 7, 1));
    check("gather_rows", List.of(f32("table", 21), i32("index", 2), f32("fallback", 7), f32("out", 14), f32("squares", 2)),
        b -> kernels.gatherRows.launch(stream, b.get(0), null, b.get(1), b.get(2), b.get(3), b.get(4), 2, 7, 3));
    check("gather_rows", List.of(f32("table", 21), i32("pick", 2), i32("index", 1), f32("out", 14)),
        b -> kernels.gatherRows.launch(stream, b.get(0), b.get(1), b.get(2), null, b.get(3), null, 2, 7, 3));
  }

  @Test
  void sigLipOperations() {
    check("layer_norm", List.of(f32("x", 14), f32("weight", 7), f32("bias", 7), f32("y", 14)),
        b -> kernels.layerNorm.launch(stream, b.get(0), b.get(1), b.get(2), b.get(3), 2, 7, 1e-6f));
    check("extract_patches", List.of(f32("images", 2 * 5 * 7 * 3), f32("patches", 2 * 2 * 3 * 12)),
        b -> kernels.extractPatches.launch(stream, b.get(0), b.get(1), 2, 5, 7, 3, 2));
    check("position_embedding", List.of(f32("patches", 28), f32("bias", 7), f32("position", 14), f32("out", 28)),
        b -> kernels.positionEmbedding.launch(stream, b.get(0), b.get(1), b.get(2), b.get(3), 4, 7, 2));
    check("blend_rows", List.of(f32("table", 21), i32("index", 8), f32("weight", 8), f32("out", 14)),
        b -> kernels.blendRows.launch(stream, b.get(0), b.get(1), b.get(2), b.get(3), 2, 7, 3));
  }

  @Test
  void skinnyProducts() {
    try (SkinnyWorkspace workspace = new SkinnyWorkspace(stream, 8); Segments segments = new Segments(device, 1)) {
      segments.add(0, 2, 3, 4, 0, 4, Segments.Own.SELF); // 2 rows, positions 3 and 4, slots 4 and 5
      segments.upload(stream);
      check("row_squares", List.of(f32("x", 16), f32("squares", 2)),
          b -> kernels.rowSquares.launch(stream, b.get(0), b.get(1), 2, 8));
      check("skinny_gemm", List.of(f32("x", 16), f32("w", 40), f32("y", 10)),
          b -> kernels.skinnyGemm.launch(stream, workspace, b.get(0), b.get(1), b.get(2), 2, 5, 8));
      check("skinny_residual", List.of(f32("x", 16), f32("w", 40), f32("h", 10), f32("squares", 2)),
          b -> kernels.skinnyResidual.launch(stream, workspace, b.get(0), b.get(1), new Residual(b.get(2), b.get(3)), 2, 5, 8));
      check("skinny_swiglu", List.of(f32("h", 16), f32("squares", 2), f32("norm", 8), f32("w", 80), f32("out", 10)),
          b -> kernels.skinnySwiglu.launch(stream, workspace, new Residual(b.get(0), b.get(1)),
              new NormedLinear(b.get(2), 1e-6f, b.get(3), null, 2 * 5, 8), b.get(4), 2));
      check("skinny_confidence", List.of(f32("h", 16), f32("squares", 2), f32("norm", 8), f32("w", 40), f32("parts", 8), i32("token", 2),
              f32("probability", 2), f32("row max", 2), f32("row sum", 2), i32("legal", 2)),
          b -> kernels.skinnyConfidence.launch(stream, workspace, new Residual(b.get(0), b.get(1)),
              new NormedLinear(b.get(2), 1e-6f, b.get(3), null, 5, 8), b.get(4), new Predictions(b.get(5), b.get(6), b.get(7), b.get(8)), 2,
              -1, b.get(9)));
      check("skinny_qkv", List.of(f32("h", 16), f32("squares", 2), f32("norm", 8), f32("w", 512 * 8), f32("bias", 512), f32("cos", 5 * 64),
              f32("sin", 5 * 64), f32("q", 2 * 256), f32("keys", 6 * 128), f32("values", 6 * 128)),
          b -> kernels.skinnyQkv.launch(stream, workspace, new Residual(b.get(0), b.get(1)),
              new NormedLinear(b.get(2), 1e-6f, b.get(3), b.get(4), (2 + 2 * 1) * SkinnyQkv.HEAD_DIM, 8), new Rope(b.get(5), b.get(6)),
              segments, b.get(7), new KeyValues(b.get(8), b.get(9), new Heads(2, 1, SkinnyQkv.HEAD_DIM), 6)));
    }
  }

  @Test
  void tokenChoice() {
    check("confidence", List.of(f32("logits", 22), i32("token", 2), f32("probability", 2), f32("row max", 2),
            f32("row sum", 2), i32("legal", 2)),
        b -> kernels.confidence.launch(stream, b.get(0), new Predictions(b.get(1), b.get(2), b.get(3), b.get(4)), 2, 11, -1, b.get(5)));
    Argument uniforms = new Argument("uniforms", DType.F64, 2);
    int words = Blocks.words(2, 1);
    SampleWorkspace workspace = own(new SampleWorkspace(stream, 2));
    Launch sample = b -> kernels.sample.launch(stream, workspace, b.get(0), 11, new Predictions(b.get(2), b.get(3)), 0, 2,
        new Blocks(b.get(4), 1, 2, 1), b.get(5), 1, b.get(1), false);
    check("sample", List.of(f32("logits", 22), i32("token", 2), f32("probability", 2), i32("table", words), i32("tasks", 4)),
        b -> sample.with(List.of(b.get(0), doubles(2), b.get(1), b.get(2), b.get(3), b.get(4))));
    // check() tries F64 as the wrong dtype; the uniforms are F64 themselves
    for (DeviceBuffer wrong : List.of(doubles(1), empty(DType.F32, 2))) {
      refused("sample", uniforms, sample, List.of(buffer(DType.F32, new float[22]), wrong, ints(0, 0), empty(DType.F32, 2),
          ints(new int[words]), ints(0, 0, 0, 0)));
    }
    check("remask", List.of(i32("token", 10), f32("probability", 10), i32("table", 2 * Blocks.words(5, 3)), i32("tasks", 8)),
        b -> kernels.remask.launch(stream, new Predictions(b.get(0), b.get(1)), 10, new Blocks(b.get(2), 2, 5, 3), b.get(3), 2, 1));
  }

  private DeviceBuffer doubles(int n) {
    DeviceBuffer buffer = own(device.allocate("uniforms", DType.F64, n));
    buffer.set(stream, new double[n]);
    return buffer;
  }

  @Test
  void attentionAndRotary() {
    try (Segments segments = new Segments(device, 1)) {
      segments.add(0, 2, 3, 4, 0, 4, Segments.Own.SELF); // 2 rows, positions 3 and 4, slots 4 and 5
      segments.upload(stream);
      check("attention", List.of(f32("q", 2 * 2 * 80), f32("keys", 6 * 80), f32("values", 6 * 80), f32("out", 2 * 2 * 80)),
          b -> kernels.attention.launch(stream, b.get(0), new KeyValues(b.get(1), b.get(2), new Heads(2, 1, 80), 6), segments, b.get(3),
              1f));
      check("rope_kv_append", List.of(f32("qkv", 2 * 4 * 6), f32("bias", 4 * 6), f32("cos", 5 * 3), f32("sin", 5 * 3),
              f32("q", 2 * 2 * 6), f32("keys", 6 * 6), f32("values", 6 * 6)),
          b -> kernels.ropeKvAppend.launch(stream, b.get(0), b.get(1), new Rope(b.get(2), b.get(3)), segments, b.get(4),
              new KeyValues(b.get(5), b.get(6), new Heads(2, 1, 6), 6)));
      check("attention", List.of(bf16("q", 2 * 2 * 128), u8("keys", 6 * 128), u8("values", 6 * 128), f32("key scales", 6),
              f32("value scales", 6), bf16("out", 2 * 2 * 128)),
          b -> kernels.attention.launch(stream, b.get(0), coded(b, 1), segments, b.get(5), 1f));
      check("rope_kv_append", List.of(f32("qkv", 2 * 4 * 128), bf16("bias", 4 * 128), f32("cos", 5 * 64), f32("sin", 5 * 64),
              bf16("q", 2 * 2 * 128), u8("keys", 6 * 128), u8("values", 6 * 128), f32("key scales", 6), f32("value scales", 6)),
          b -> kernels.ropeKvAppend.launch(stream, b.get(0), b.get(1), new Rope(b.get(2), b.get(3)), segments, b.get(4), coded(b, 5)));
    }
    check("vision_rotary", List.of(f32("qkv", 2 * 36), f32("bias", 36), f32("cos", 6), f32("sin", 6), f32("q", 24),
            f32("keys", 24), f32("values", 24)),
        b -> kernels.visionRotary.launch(stream, b.get(0), b.get(1), new Rope(b.get(2), b.get(3)), b.get(4),
            new KeyValues(b.get(5), b.get(6), new Heads(2, 2, 6), 2)));
  }

  /**
   * Every F32 operand in turn one element off a multiple of 16 bytes, rows being whole pieces: the launch is refused with the operand's
   * name where the kernel reads pieces, and runs where it has a path for single elements.
   */
  private void shifted(String kernel, List<Argument> arguments, Set<String> refused, Launch launch) {
    List<DeviceBuffer> good = new ArrayList<>();
    for (Argument a : arguments) {
      good.add(own(device.allocate("fitting " + a.name(), a.dtype(), a.elements())));
      stream.fill(good.getLast(), 0);
    }
    launch.with(good);
    for (int i = 0; i < arguments.size(); i++) {
      Argument a = arguments.get(i);
      DeviceBuffer longer = own(device.allocate("longer", a.dtype(), a.elements() + 1));
      stream.fill(longer, 0);
      List<DeviceBuffer> moved = replaced(good, i, longer.slice(1, a.elements()));
      if (refused.contains(a.name())) {
        refused(kernel, a, launch, moved);
      } else {
        launch.with(moved);
        stream.synchronize();
      }
    }
  }

  @Test
  void operandsOffAlignment() {
    shifted("rms_norm", List.of(f32("x", 16), f32("weight", 8), f32("y", 16)), Set.of(),
        b -> kernels.rmsNorm.launch(stream, b.get(0), b.get(1), b.get(2), 2, 8, 1e-6f));
    shifted("layer_norm", List.of(f32("x", 16), f32("weight", 8), f32("bias", 8), f32("y", 16)), Set.of(),
        b -> kernels.layerNorm.launch(stream, b.get(0), b.get(1), b.get(2), b.get(3), 2, 8, 1e-6f));
    shifted("row_squares", List.of(f32("x", 16), f32("squares", 2)), Set.of(),
        b -> kernels.rowSquares.launch(stream, b.get(0), b.get(1), 2, 8));
    shifted("gather_rows", List.of(f32("table", 24), i32("index", 2), f32("fallback", 16), f32("out", 16), f32("squares", 2)), Set.of(),
        b -> kernels.gatherRows.launch(stream, b.get(0), null, b.get(1), b.get(2), b.get(3), b.get(4), 2, 8, 3));
    shifted("blend_rows", List.of(f32("table", 24), i32("index", 8), f32("weight", 8), f32("out", 16)), Set.of(),
        b -> kernels.blendRows.launch(stream, b.get(0), b.get(1), b.get(2), b.get(3), 2, 8, 3));
    shifted("extract_patches", List.of(f32("images", 64), f32("patches", 64)), Set.of(),
        b -> kernels.extractPatches.launch(stream, b.get(0), b.get(1), 1, 4, 4, 4, 2));
    shifted("fill_normal", List.of(f32("out", 16)), Set.of(), b -> kernels.fillNormal.launch(stream, b.get(0), 0, 1, 1));
    shifted("read_sum", List.of(f32("x", 16), f32("partial", 4)), Set.of(), b -> kernels.readSum.launch(stream, b.get(0), b.get(1)));
    shifted("swiglu", List.of(f32("gate and up", 32), f32("bias", 16), f32("out", 16)), Set.of("gate and up", "bias", "out"),
        b -> kernels.swiglu.launch(stream, b.get(0), b.get(1), b.get(2), 2, 8));
    shifted("residual_add", List.of(f32("h", 16), f32("acc", 16), f32("bias", 8)), Set.of("h", "acc", "bias"),
        b -> kernels.residualAdd.launch(stream, b.get(0), b.get(1), b.get(2), 2, 8));
    shifted("residual_rms_norm", List.of(f32("h", 16), f32("acc", 16), f32("bias", 8), f32("weight", 8), f32("y", 16)),
        Set.of("h", "acc", "bias", "weight", "y"),
        b -> kernels.residualRmsNorm.launch(stream, b.get(0), b.get(1), b.get(2), b.get(3), b.get(4), 2, 8, 1e-6f));
    shifted("bias_activation", List.of(f32("acc", 16), f32("bias", 8), f32("out", 16)), Set.of("acc", "bias", "out"),
        b -> kernels.biasActivation.launch(stream, b.get(0), b.get(1), b.get(2), 2, 8, 1));
    shifted("position_embedding", List.of(f32("patches", 32), f32("bias", 8), f32("position", 16), f32("out", 32)),
        Set.of("patches", "bias", "position", "out"),
        b -> kernels.positionEmbedding.launch(stream, b.get(0), b.get(1), b.get(2), b.get(3), 4, 8, 2));
    shifted("confidence", List.of(f32("logits", 16), i32("token", 2), f32("probability", 2), f32("row max", 2), f32("row sum", 2)),
        Set.of(), b -> kernels.confidence.launch(stream, b.get(0), new Predictions(b.get(1), b.get(2), b.get(3), b.get(4)), 2, 8, -1));
    shifted("sample", List.of(f32("logits", 16), i32("token", 2), f32("probability", 2)), Set.of(),
        b -> sample(b.get(0), 2, 8, new Sample.Rule(1, 0, 1, -1, 1, false), 0, null, false, new Predictions(b.get(1), b.get(2))));
    shifted("vision_rotary", List.of(f32("qkv", 96), f32("bias", 48), f32("cos", 8), f32("sin", 8), f32("q", 32), f32("keys", 32),
            f32("values", 32)), Set.of(),
        b -> kernels.visionRotary.launch(stream, b.get(0), b.get(1), new Rope(b.get(2), b.get(3)), b.get(4),
            new KeyValues(b.get(5), b.get(6), new Heads(2, 2, 8), 2)));
  }

  @Test
  void operandsOverSegmentsOffAlignment() {
    try (SkinnyWorkspace workspace = new SkinnyWorkspace(stream, 8); Segments segments = new Segments(device, 1)) {
      segments.add(0, 2, 3, 4, 0, 6, Segments.Own.NONE); // 2 rows, positions 3 and 4, slots 4 and 5
      segments.upload(stream);
      shifted("attention", List.of(f32("q", 2 * 2 * 80), f32("keys", 6 * 80), f32("values", 6 * 80), f32("out", 2 * 2 * 80)),
          Set.of("q", "keys", "values", "out"),
          b -> kernels.attention.launch(stream, b.get(0), new KeyValues(b.get(1), b.get(2), new Heads(2, 1, 80), 6), segments, b.get(3),
          1f));
      shifted("rope_kv_append", List.of(f32("qkv", 2 * 4 * 8), f32("bias", 4 * 8), f32("cos", 5 * 4), f32("sin", 5 * 4),
              f32("q", 2 * 2 * 8), f32("keys", 6 * 8), f32("values", 6 * 8)), Set.of(),
          b -> kernels.ropeKvAppend.launch(stream, b.get(0), b.get(1), new Rope(b.get(2), b.get(3)), segments, b.get(4),
              new KeyValues(b.get(5), b.get(6), new Heads(2, 1, 8), 6)));
      shifted("skinny_gemm", List.of(f32("x", 16), f32("w", 64), f32("y", 16)), Set.of("x", "w"),
          b -> kernels.skinnyGemm.launch(stream, workspace, b.get(0), b.get(1), b.get(2), 2, 8, 8));
      shifted("skinny_residual", List.of(f32("x", 16), f32("w", 64), f32("h", 16), f32("squares", 2)), Set.of("x", "w", "h"),
          b -> kernels.skinnyResidual.launch(stream, workspace, b.get(0), b.get(1), new Residual(b.get(2), b.get(3)), 2, 8, 8));
      shifted("skinny_swiglu", List.of(f32("h", 16), f32("squares", 2), f32("norm", 8), f32("w", 128), f32("out", 16)),
          Set.of("h", "norm", "w", "out"),
          b -> kernels.skinnySwiglu.launch(stream, workspace, new Residual(b.get(0), b.get(1)),
              new NormedLinear(b.get(2), 1e-6f, b.get(3), null, 16, 8), b.get(4), 2));
      shifted("skinny_confidence", List.of(f32("h", 16), f32("squares", 2), f32("norm", 8), f32("w", 64), f32("parts", 8),
              i32("token", 2), f32("probability", 2), f32("row max", 2), f32("row sum", 2)), Set.of("h", "norm", "w", "parts"),
          b -> kernels.skinnyConfidence.launch(stream, workspace, new Residual(b.get(0), b.get(1)),
              new NormedLinear(b.get(2), 1e-6f, b.get(3), null, 8, 8), b.get(4),
              new Predictions(b.get(5), b.get(6), b.get(7), b.get(8)), 2, -1));
      shifted("skinny_qkv", List.of(f32("h", 16), f32("squares", 2), f32("norm", 8), f32("w", 512 * 8), f32("bias", 512),
              f32("cos", 5 * 64), f32("sin", 5 * 64), f32("q", 2 * 256), f32("keys", 6 * 128), f32("values", 6 * 128)),
          Set.of("h", "norm", "w", "bias", "cos", "sin", "q", "keys", "values"),
          b -> kernels.skinnyQkv.launch(stream, workspace, new Residual(b.get(0), b.get(1)),
              new NormedLinear(b.get(2), 1e-6f, b.get(3), b.get(4), 512, 8), new Rope(b.get(5), b.get(6)), segments, b.get(7),
              new KeyValues(b.get(8), b.get(9), new Heads(2, 1, 128), 6)));
    }
  }
}
