// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.eval.ExactMatch;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.NamingScheme;
import dev.diffusionvl.loader.ReleasedModel;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.GoldenCase;
import dev.diffusionvl.model.LoadListener;
import dev.diffusionvl.model.SigLipCheckpoint;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What training is said to take, against what it takes; and what that is for the released models. */
class TrainingPlanTest {
  private static final Set<TrainedPart> ALL = EnumSet.allOf(TrainedPart.class);

  @TempDir private Path temp;

  private static TrainerOptions options(Set<TrainedPart> parts) {
    return new TrainerOptions(2, 1, 1e-4, 1e-4, 0, 2, true, 0, 1, 5, parts, false);
  }

  /** The least free memory while it is open. */
  private static final class LeastFree implements AutoCloseable {
    private final Device device;
    private final Thread thread = Thread.ofPlatform().daemon().unstarted(this::look);
    private volatile boolean ended;
    private long least = Long.MAX_VALUE;

    LeastFree(Device device) {
      this.device = device;
      thread.start();
    }

    private void look() {
      while (!ended) {
        least = Math.min(least, device.memory().free());
        try {
          Thread.sleep(1);
        } catch (InterruptedException e) {
          return;
        }
      }
    }

    long end() {
      ended = true;
      try {
        thread.join();
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
      return least;
    }

    @Override
    public void close() {
      end();
    }
  }

  /** Full training, what is recomputed, frozen and adapted, of both families, in both dtypes. */
  @ParameterizedTest
  @CsvSource({
      "false, F32, LM PROJECTOR VISION, false, ADAMW, 0",
      "false, BF16, LM PROJECTOR VISION, true, ADAMW, 0",
      "false, BF16, LM, false, ADAMW_8BIT, 0",
      "false, BF16, LM, false, ADAMW, 4",
      "false, F32, LM PROJECTOR, true, ADAMW_8BIT, 16",
      "false, F32, PROJECTOR, false, ADAMW, 0",
      "true, BF16, LM PROJECTOR VISION, false, ADAMW, 0",
      "true, F32, LM PROJECTOR VISION, true, ADAMW_8BIT, 0",
      "true, BF16, PROJECTOR LM, false, ADAMW, 4"})
  void thePlanIsWhatTrainingTakes(boolean sigLip, DType dtype, String parts, boolean recompute, Optimizer optimizer, int rank) {
    Path base = base(sigLip);
    TrainerOptions options = options(parts(parts)).withRecompute(recompute).withOptimizer(optimizer)
        .withLora(rank == 0 ? null : new Lora(rank, rank));
    ModelConfig config = ModelConfig.load(base);
    BlockDiffusionObjective objective = objective(config);
    try (Device device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")))) {
      long before = device.memory().free();
      try (LeastFree least = new LeastFree(device); DiffusionVl model = DiffusionVl.load(device, base, dtype);
          ConversationData data = data(model)) {
        PassSize size = PassSizes.of(data, objective).of(options.batch());
        TrainingPlan plan = TrainingPlan.of(config, dtype, options, size, device);
        try (Trainer trainer = new Trainer(model, objective, options)) {
          trainer.reserve(size);
          List<TrainingRow> rows = new ArrayList<>(List.of(data.row(0), data.row(1)));
          trainer.step(rows);
          trainer.step(List.of(data.row(2), data.row(3)));
          trainer.finish();
        }
        long peak = before - least.end();
        assertEquals(plan.need(), peak, 0.05 * plan.need(), plan.toString());
      }
    }
  }

  /** Questions with a longer prompt and larger images than the data have: while they are asked, memory is at its peak. */
  @ParameterizedTest
  @CsvSource({"false, F32, LM", "false, BF16, PROJECTOR", "true, BF16, PROJECTOR", "true, F32, PROJECTOR",
      "false, BF16, LM PROJECTOR VISION"})
  void thePlanCountsQuestions(boolean sigLip, DType dtype, String parts) {
    Path base = base(sigLip);
    TrainerOptions options = options(parts(parts)).withRecompute(true);
    TrainingFolder folder = new TrainingFolder(temp);
    folder.writeImage("large.png", 616, 448);
    Path asked = folder.writeLines("questions.jsonl", List.of(TrainingFolder.record("q", "large.png", "What is it? ".repeat(120), "Grey."),
        TrainingFolder.record("r", null, "What is it?", "Nothing.")));
    try (Device device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
        ModelFiles files = ModelFiles.open(base)) {
      ExactMatch questions = ExactMatch.read(files, asked, temp, 0, GenerationOptions.DEFAULTS.withGenLength(16)).checked(files, dtype);
      BlockDiffusionObjective objective = objective(files.config());
      long before = device.memory().free();
      try (LeastFree least = new LeastFree(device); DiffusionVl model = DiffusionVl.load(device, files, dtype, LoadListener.NONE);
          ConversationData data = data(model)) {
        PassSize size = PassSizes.of(data, objective).of(options.batch());
        TrainingPlan plan = TrainingPlan.of(files.config(), dtype, options, size, questions.bytes(device), device);
        assertTrue(plan.questions() > 0, "they are what counts here: " + plan);
        try (Trainer trainer = new Trainer(model, objective, options)) {
          trainer.reserve(size);
          trainer.step(List.of(data.row(0), data.row(1)));
          trainer.merged(() -> questions.score(model));
          trainer.step(List.of(data.row(2), data.row(3)));
        }
        long peak = before - least.end();
        assertEquals(plan.need(), peak, 0.05 * plan.need(), plan.toString());
      }
    }
  }

  private Path base(boolean sigLip) {
    if (!sigLip) {
      return GoldenCase.MODEL;
    }
    Path base = temp.resolve("tiny-siglip");
    SigLipCheckpoint.write(base);
    return base;
  }

  private static Set<TrainedPart> parts(String names) {
    Set<TrainedPart> trained = EnumSet.noneOf(TrainedPart.class);
    Stream.of(names.split(" ")).map(TrainedPart::valueOf).forEach(trained::add);
    return trained;
  }

  private static BlockDiffusionObjective objective(ModelConfig config) {
    return new BlockDiffusionObjective(8, config.maskTokenId(), BlockDiffusionObjective.LOWEST);
  }

  private ConversationData data(DiffusionVl model) {
    TrainingFolder folder = new TrainingFolder(temp);
    folder.writeImage("grey.png", 112, 84);
    folder.writeImage("small.png", 56, 56);
    Path file = folder.writeLines("data.jsonl", List.of(
        TrainingFolder.record("one", "grey.png", "What is it?", "It is grey all over, from the left to the right."),
        TrainingFolder.record("two", "small.png", "What is it?", "It is small."),
        TrainingFolder.record("three", null, "What is 3 plus 4?", "It is 7."), TrainingFolder.record("four", null, "And 4 plus 4?", "8")));
    return ConversationData.open(file, new RowEncoder(model.config(), model.tokenizer(), RowEncoder.Options.of(model.config(), temp)));
  }

  private ModelConfig config(ReleasedModel released) throws IOException {
    Path folder = Files.createDirectories(temp.resolve(released.name()));
    released.write(folder, released == ReleasedModel.QWEN_7B ? NamingScheme.DIFFUSION_VL_SIGLIP
        : NamingScheme.DIFFUSION_VL, 1);
    return ModelConfig.load(folder);
  }

  private static PassSizes longest(ModelConfig config, int rows) {
    return PassSizes.longest(config, new BlockDiffusionObjective(8, 1, BlockDiffusionObjective.LOWEST), rows);
  }

  private static TrainingPlan plan(ModelConfig config, TrainerOptions options, int rows) {
    return TrainingPlan.of(config, DType.BF16, options, longest(config, rows).of(options.batch()), null);
  }

  /** docs/training-memory.md states these numbers. */
  @Test
  void allOfThe3bFitsIn80Gigabytes() throws IOException {
    ModelConfig config = config(ReleasedModel.VL_3B);
    TrainerOptions options = options(ALL).withBatch(1, 256);
    TrainingPlan plan = plan(config, options.withRecompute(true), 8192);
    long parameters = ReleasedModel.VL_3B.parameters();
    assertEquals(2 * parameters, plan.weights(), 0.001 * plan.weights());
    assertEquals(4 * parameters, plan.masters(), 0.001 * plan.masters());
    assertEquals(8 * parameters, plan.moments(), 0.001 * plan.moments());
    assertEquals(4 * parameters, plan.gradients(), 0.001 * plan.gradients());
    assertTrue(plan.need() < 80_000_000_000L, plan.toString());
    assertTrue(plan(config, options, 2048).need() < 80_000_000_000L, plan(config, options, 2048).toString());
    TrainingPlan kept = plan(config, options, 8192);
    assertTrue(kept.need() > 80_000_000_000L, kept.toString());
    assertEquals("--recompute", kept.alternatives(config, DType.BF16, null, longest(config, 8192), 80_000_000_000L).getFirst().flags());
  }

  @ParameterizedTest
  @ValueSource(strings = {"VL_7B", "QWEN_7B"})
  void the7bFitsWithAdapters(String name) throws IOException {
    ModelConfig config = config(ReleasedModel.valueOf(name));
    TrainingPlan plan = plan(config, options(ALL).withBatch(4, 64), 8192);
    assertTrue(plan.need() > 18 * ReleasedModel.valueOf(name).parameters(), plan.toString());
    List<TrainingPlan.Alternative> others = plan.alternatives(config, DType.BF16, null, longest(config, 8192), 80_000_000_000L);
    assertTrue(others.stream().anyMatch(other -> other.flags().contains("--lora 16")), others.toString());
    assertTrue(others.stream().allMatch(other -> other.need() <= 80_000_000_000L && other.need() > 2 * 7_000_000_000L), others.toString());
    assertTrue(plan.alternatives(config, DType.BF16, null, longest(config, 8192), 10_000_000_000L).isEmpty(), "the weights alone are more");
  }

  @Test
  void whatIsFrozenTakesNoStateAndEightBitsTakeAQuarter() throws IOException {
    ModelConfig config = config(ReleasedModel.VL_3B);
    TrainingPlan all = plan(config, options(ALL), 1024);
    TrainingPlan eight = plan(config, options(ALL).withOptimizer(Optimizer.ADAMW_8BIT), 1024);
    assertEquals(all.moments() * (1 + 4.0 / 256) / 4, eight.moments(), 0.001 * eight.moments());
    TrainingPlan projector = plan(config, options(Set.of(TrainedPart.PROJECTOR)), 1024);
    assertEquals(all.weights(), projector.weights());
    assertEquals(4L * (5120 * 5120 + 5120 + 5120 * 2048 + 2048 + 1280), projector.gradients(), 1000);
    TrainingPlan adapted = plan(config, options(Set.of(TrainedPart.LM)).withLora(new Lora(16, 32)), 1024);
    long perLayer = 2048 + 2048 + 2 * (2048 + 256) + 2048 + 2048 + 2 * (2048 + 11008) + 11008 + 2048;
    assertEquals(4L * 36 * 16 * perLayer, adapted.gradients(), 1e5);
    assertEquals(all.weights() + 2L * 36 * 16 * perLayer, adapted.weights());
  }
}
