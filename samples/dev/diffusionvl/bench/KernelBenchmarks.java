// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.bench.op.ActivationBackwardBenchmark;
import dev.diffusionvl.bench.op.Adamw8bitBenchmark;
import dev.diffusionvl.bench.op.AdamwBenchmark;
import dev.diffusionvl.bench.op.AttentionBackwardBenchmark;
import dev.diffusionvl.bench.op.AttentionBenchmark;
import dev.diffusionvl.bench.op.BiasActivationBenchmark;
import dev.diffusionvl.bench.op.BlendRowsBenchmark;
import dev.diffusionvl.bench.op.ColumnSumBenchmark;
import dev.diffusionvl.bench.op.ConfidenceBenchmark;
import dev.diffusionvl.bench.op.CrossEntropyBenchmark;
import dev.diffusionvl.bench.op.ExpandWeightsBenchmark;
import dev.diffusionvl.bench.op.PackWeightsBenchmark;
import dev.diffusionvl.bench.op.ExtractPatchesBenchmark;
import dev.diffusionvl.bench.op.FillNormalBenchmark;
import dev.diffusionvl.bench.op.GatherRowsBenchmark;
import dev.diffusionvl.bench.op.GradientNormBenchmark;
import dev.diffusionvl.bench.op.LayerNormBackwardBenchmark;
import dev.diffusionvl.bench.op.LayerNormBenchmark;
import dev.diffusionvl.bench.op.PositionEmbeddingBenchmark;
import dev.diffusionvl.bench.op.ReadSumBenchmark;
import dev.diffusionvl.bench.op.RemaskBenchmark;
import dev.diffusionvl.bench.op.ResidualAddBenchmark;
import dev.diffusionvl.bench.op.ResidualRmsNormBenchmark;
import dev.diffusionvl.bench.op.RmsNormBackwardBenchmark;
import dev.diffusionvl.bench.op.RmsNormBenchmark;
import dev.diffusionvl.bench.op.RopeBackwardBenchmark;
import dev.diffusionvl.bench.op.RopeKvAppendBenchmark;
import dev.diffusionvl.bench.op.RowSquaresBenchmark;
import dev.diffusionvl.bench.op.SampleBenchmark;
import dev.diffusionvl.bench.op.ScatterAddRowsBenchmark;
import dev.diffusionvl.bench.op.SkinnyConfidenceBenchmark;
import dev.diffusionvl.bench.op.SkinnyGemmBenchmark;
import dev.diffusionvl.bench.op.SkinnyQkvBenchmark;
import dev.diffusionvl.bench.op.SkinnyResidualBenchmark;
import dev.diffusionvl.bench.op.SkinnySwigluBenchmark;
import dev.diffusionvl.bench.op.SwigluBackwardBenchmark;
import dev.diffusionvl.bench.op.SwigluBenchmark;
import dev.diffusionvl.bench.op.VisionRotaryBenchmark;
import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.WeightForm;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;

/**
 * The rows of {@code dvl bench kernels}, in order. A new kernel gets a class in {@code op}, a line here and one in {@link ExpectedTime}.
 */
final class KernelBenchmarks {
  private KernelBenchmarks() {}

  /** @param forms of the weights of products */
  static List<Supplier<KernelBenchmark>> all(Workbench bench, List<WeightForm> forms) {
    List<Supplier<KernelBenchmark>> rows = new ArrayList<>();
    language(bench, bench.config().blockSize(), rows);
    vision(bench, rows);
    if (bench.dtype() != DType.F16) { // which nothing is trained in
      training(bench, bench.pick(2048, 24), rows);
    }
    rows.add(() -> new PackWeightsBenchmark(bench));
    rows.add(() -> new ExpandWeightsBenchmark(bench, WeightForm.FP8));
    rows.add(() -> new ExpandWeightsBenchmark(bench, WeightForm.INT4));
    for (WeightForm form : forms) {
      for (int m : bench.device().emulated() ? new int[] {8} : new int[] {8, 16, 32, 64}) {
        products(bench, form, m, rows);
      }
    }
    return rows;
  }

  private static void language(Workbench bench, int block, List<Supplier<KernelBenchmark>> rows) {
    rows.add(() -> new ReadSumBenchmark(bench));
    rows.add(() -> new FillNormalBenchmark(bench));
    rows.add(() -> new GatherRowsBenchmark(bench, block));
    rows.add(() -> new RowSquaresBenchmark(bench, block));
    rows.add(() -> new RmsNormBenchmark(bench, block));
    boolean coded = bench.dtype().isHalf();
    rows.add(() -> new RopeKvAppendBenchmark(bench, block, false));
    if (coded) {
      rows.add(() -> new RopeKvAppendBenchmark(bench, block, true));
    }
    for (int context : bench.device().emulated() ? new int[] {32} : new int[] {352, 1000, 4000, 16000}) {
      rows.add(() -> AttentionBenchmark.denoise(bench, block, context, true));
      rows.add(() -> AttentionBenchmark.drafts(bench, 8, block, context));
      rows.add(() -> AttentionBenchmark.denoise(bench, block, context, false));
      if (coded) {
        rows.add(() -> AttentionBenchmark.denoiseCoded(bench, block, context, true));
        rows.add(() -> AttentionBenchmark.denoiseCoded(bench, block, context, false));
      }
    }
    rows.add(() -> AttentionBenchmark.prefill(bench, bench.pick(352, 37), block));
    rows.add(() -> AttentionBenchmark.causal(bench, bench.pick(352, 37)));
    rows.add(() -> new ResidualAddBenchmark(bench, block));
    rows.add(() -> new ResidualRmsNormBenchmark(bench, block));
    rows.add(() -> new SwigluBenchmark(bench, block));
    rows.add(() -> new ConfidenceBenchmark(bench, block, false));
    rows.add(() -> new ConfidenceBenchmark(bench, block, true));
    rows.add(() -> new SampleBenchmark(bench, block));
    rows.add(() -> new SkinnyConfidenceBenchmark(bench, WeightForm.DENSE, block, true));
    rows.add(() -> new RemaskBenchmark(bench, 1, block));
    rows.add(() -> new RemaskBenchmark(bench, 32, block));
  }

  private static void vision(Workbench bench, List<Supplier<KernelBenchmark>> rows) {
    int patches = bench.pick(1296, 72);
    rows.add(() -> new VisionRotaryBenchmark(bench, patches));
    rows.add(() -> AttentionBenchmark.vision(bench, patches, 64));
    rows.add(() -> AttentionBenchmark.vision(bench, patches, patches));
    rows.add(() -> new BiasActivationBenchmark(bench, patches / 4));
    int tiles = bench.pick(5, 1);
    int positions = bench.pick(729, 9);
    rows.add(() -> new ExtractPatchesBenchmark(bench, tiles));
    rows.add(() -> new PositionEmbeddingBenchmark(bench, tiles, positions));
    rows.add(() -> new LayerNormBenchmark(bench, tiles * positions));
    rows.add(() -> new BlendRowsBenchmark(bench, positions));
  }

  private static void training(Workbench bench, int passRows, List<Supplier<KernelBenchmark>> rows) {
    rows.add(() -> new ColumnSumBenchmark(bench, passRows));
    rows.add(() -> new RmsNormBackwardBenchmark(bench, passRows));
    rows.add(() -> new LayerNormBackwardBenchmark(bench, passRows));
    rows.add(() -> new SwigluBackwardBenchmark(bench, passRows));
    rows.add(() -> new ActivationBackwardBenchmark(bench, passRows));
    rows.add(() -> new AttentionBackwardBenchmark(bench, passRows));
    rows.add(() -> new RopeBackwardBenchmark(bench, passRows));
    rows.add(() -> new ScatterAddRowsBenchmark(bench, passRows));
    rows.add(() -> new CrossEntropyBenchmark(bench, bench.pick(512, 8)));
    rows.add(() -> new AdamwBenchmark(bench, passRows));
    rows.add(() -> new Adamw8bitBenchmark(bench, passRows));
    rows.add(() -> new GradientNormBenchmark(bench, passRows));
  }

  /** The products of a decoder layer and the output matrix: alone beside cuBLAS, then fused with what stands around them. */
  private static void products(Workbench bench, WeightForm form, int m, List<Supplier<KernelBenchmark>> rows) {
    TextConfig c = bench.config().text();
    int q = c.heads() * c.headDim();
    rows.add(() -> new SkinnyGemmBenchmark(bench, "qkv", form, m, q + 2 * c.kvHeads() * c.headDim(), c.hiddenSize()));
    rows.add(() -> new SkinnyGemmBenchmark(bench, "o", form, m, c.hiddenSize(), q));
    rows.add(() -> new SkinnyGemmBenchmark(bench, "gate_up", form, m, 2 * c.intermediateSize(), c.hiddenSize()));
    rows.add(() -> new SkinnyGemmBenchmark(bench, "down", form, m, c.hiddenSize(), c.intermediateSize()));
    rows.add(() -> new SkinnyGemmBenchmark(bench, "lm_head", form, m, c.vocabSize(), c.hiddenSize()));
    rows.add(() -> new SkinnyQkvBenchmark(bench, form, m));
    rows.add(() -> new SkinnyResidualBenchmark(bench, "o", form, m, c.hiddenSize(), q));
    rows.add(() -> new SkinnySwigluBenchmark(bench, form, m, c.intermediateSize(), c.hiddenSize()));
    rows.add(() -> new SkinnyResidualBenchmark(bench, "down", form, m, c.hiddenSize(), c.intermediateSize()));
    for (int grid : form == WeightForm.DENSE ? new int[] {132, 264} : new int[0]) {
      // whether more bytes under way are worth blocks that end at different times
      rows.add(() -> SkinnyResidualBenchmark.over(grid, bench, "down", m, c.hiddenSize(), c.intermediateSize()));
    }
    rows.add(() -> new SkinnyConfidenceBenchmark(bench, form, m, false));
  }
}
