// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.bench.Report.Column;
import dev.diffusionvl.bench.measure.Quantiles;
import dev.diffusionvl.bench.measure.Row;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.train.BlockDiffusionObjective;
import dev.diffusionvl.train.Example;
import dev.diffusionvl.train.PassRows;
import dev.diffusionvl.train.PassSize;
import dev.diffusionvl.train.TrainedPart;
import dev.diffusionvl.train.Trainer;
import dev.diffusionvl.train.TrainerOptions;
import dev.diffusionvl.train.TrainingPlan;
import dev.diffusionvl.train.TrainingRow;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code dvl bench train}: optimiser steps at real shapes, the language model trained on rows of random tokens. */
@Command(name = "train", description = "Times training steps of a model with random weights: forward, backward and AdamW of the language "
    + "model.",
    mixinStandardHelpOptions = true, showDefaultValues = true)
final class TrainCommand implements Callable<Integer> {
  private static final List<Column> COLUMNS = List.of(new Column("shape", "shape", -6), new Column("layers", "layers", 6),
      new Column("rows", "rows", 6), new Column("pass rows", "pass_rows", 9), new Column("ms", "ms", 9), new Column("p10", "ms_p10", 9),
      new Column("p90", "ms_p90", 9), new Column("tokens/s", "tokens_per_s", 9), new Column("floor", "floor_ms", 9),
      new Column("% floor", "pct_floor", 7), new Column("% MFU", "mfu_pct", 7), new Column("predicted", "predicted_ms", 9));

  @Mixin private BenchOptions options;
  @Mixin private ModelOptions modelOptions;

  @Option(names = "--rows", paramLabel = "N", description = "rows of the record, the second half labelled (default: 1024; tiny: 128)")
  private Integer rows;

  @Option(names = "--recompute", description = "keep only the layers' inputs on the way forward")
  private boolean recompute;

  @Override
  public Integer call() {
    ModelConfig config = modelOptions.config(options);
    int length = rows != null ? rows : modelOptions.shape().equals("tiny") ? 128 : 1024;
    if (length < 2 * config.blockSize() || length % config.blockSize() != 0 || length > config.text().maxPositionEmbeddings()) {
      throw options.usage("--rows is " + length + ", allowed are multiples of " + config.blockSize() + " from " + 2 * config.blockSize()
          + " to " + config.text().maxPositionEmbeddings());
    }
    if (options.dtype() == DType.F16) {
      throw options.usage("--dtype is 'f16', training runs in bf16 and f32");
    }
    return options.run((device, report) -> {
      BlockDiffusionObjective objective = new BlockDiffusionObjective(config.blockSize(), config.maskTokenId(),
          BlockDiffusionObjective.LOWEST);
      Example example = example(config, length);
      PassRows pass = objective.rows(List.of(example), new long[1], 1); // like those of the steps, give or take a block
      TrainingCost cost = TrainingCost.of(config.text(), pass, options.dtype(), recompute);
      PassRows largest = objective.largest(List.of(example));
      PassSize size = new PassSize(largest.rows(), largest.targets().size(), length, 0, 0);
      TrainingPlan plan = TrainingPlan.of(config, options.dtype(), training(1), size, device);
      device.requireFree("a training step with AdamW over the language model", plan.need());
      Ceilings ceilings;
      int warm;
      int rounds;
      try (Workbench bench = options.workbench(device, config)) {
        warm = options.warmUp(bench.pick(3, 1));
        rounds = options.iterations(bench.pick(10, 2));
        ceilings = Ceilings.measure(bench, row -> report.row(row, Ceilings.COLUMNS));
      }
      double[] millis = new double[rounds];
      boolean ok = true;
      try (DiffusionVl model = modelOptions.model(device, config, options.dtype());
          Trainer trainer = new Trainer(model, objective, training(warm + rounds))) {
        TrainingRow record = new TrainingRow("random", example, List.of(), 0);
        for (int i = -warm; i < rounds; i++) {
          long start = System.nanoTime();
          Trainer.Step step = trainer.step(List.of(record)); // waits for the device
          if (i >= 0) {
            millis[i] = (System.nanoTime() - start) / 1e6;
          }
          ok &= step.loss() > 0 && step.gradientNorm() > 0;
        }
      }
      report.row(row(config, length, pass, cost, ceilings, Quantiles.of(millis)).put("ok", ok), COLUMNS);
      return ok;
    });
  }

  private TrainerOptions training(int steps) {
    return new TrainerOptions(1, 1, 1e-5, 2e-6, 0, steps, true, 0, 1, 1, Set.of(TrainedPart.LM), recompute);
  }

  /** Random tokens; those of the second half are labels. */
  private static Example example(ModelConfig config, int length) {
    int[] ids = new SplittableRandom(1).ints(length, 0, Math.min(config.maskTokenId(), config.text().vocabSize())).toArray();
    int[] labels = ids.clone();
    Arrays.fill(labels, 0, length / 2, BlockDiffusionObjective.NO_LABEL);
    return new Example(ids, labels);
  }

  private Row row(ModelConfig config, int length, PassRows pass, TrainingCost cost, Ceilings ceilings, Quantiles ms) {
    double floor = cost.floorMillis(ceilings);
    return new Row("train").put("engine", "dvl").put("shape", modelOptions.shape()).put("layers", config.text().layers())
        .put("dtype", options.dtype().suffix()).put("rows", length).put("pass_rows", pass.rows()).put("targets", pass.targets().size())
        .put("recompute", recompute).put("optimizer", "adamw").put("ms", ms.median()).put("ms_p10", ms.p10()).put("ms_p90", ms.p90())
        .put("tokens_per_s", 1000 * length / ms.median()).put("flop", cost.flops()).put("bytes", cost.optimizerBytes())
        .put("floor_ms", floor).put("pct_floor", 100 * floor / ms.median())
        .put("mfu_pct", 100 * cost.modelFlops() / (ms.median() / 1e3 * ceilings.flopsPerSecond()))
        .put("predicted_ms", cost.predictedMillis(ceilings)).put("prediction", TrainingCost.FORMULA);
  }
}
