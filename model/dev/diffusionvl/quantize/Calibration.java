// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.quantize;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.train.AutoregressiveObjective;
import dev.diffusionvl.train.BlockDiffusionObjective;
import dev.diffusionvl.train.ConversationData;
import dev.diffusionvl.train.ForwardPass;
import dev.diffusionvl.train.LayerInputs;
import dev.diffusionvl.train.Objective;
import dev.diffusionvl.train.PassRows;
import dev.diffusionvl.train.TrainingRow;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Consumer;

/**
 * What a model's layers see while it writes: conversations with answers hidden as training hides them, at all noise levels, since a
 * diffusion model sees masks and no clean text. Three quarters of the rows that are kept are of blocks being denoised, the others of
 * prompts and finished blocks; about so are the rows of an answer's passes. A model that is no diffusion model sees clean text.
 */
public final class Calibration {
  private static final int ROWS = 512; // of each place, in all
  private static final int LEAST_PER_RECORD = 4;

  private Calibration() {}

  /** What the model was trained on: rows of a pass. */
  static Objective objective(ModelConfig config) {
    return config.diffusion() ? new BlockDiffusionObjective(config.blockSize(), config.maskTokenId(), BlockDiffusionObjective.LOWEST)
        : new AutoregressiveObjective();
  }

  /**
   * Some records in an order drawn by the seed.
   *
   * @param count that is wanted; fewer come back where the data have fewer that can be used
   * @param skipped hears what is wrong with each that cannot be used
   * @throws BadInputException if none can be used
   */
  public static List<TrainingRow> records(ConversationData data, int count, long seed, Consumer<String> skipped) {
    int[] order = new int[data.size()];
    SplittableRandom random = new SplittableRandom(seed);
    for (int i = 0; i < order.length; i++) { // each place in turn gets one of the numbers so far
      int other = random.nextInt(i + 1);
      order[i] = order[other];
      order[other] = i;
    }
    List<TrainingRow> records = new ArrayList<>();
    BadInputException last = null;
    for (int i = 0; i < order.length && records.size() < count; i++) {
      try {
        records.add(data.row(order[i]));
      } catch (BadInputException e) {
        skipped.accept(e.getMessage());
        last = e;
      }
    }
    if (records.isEmpty() && last != null) {
      throw last;
    }
    return records;
  }

  /**
   * Runs the model over the records and keeps some rows of each place.
   *
   * @param config of the model
   * @param head whether the rows that the output matrix takes are wanted too
   */
  public static LayerSamples collect(ModelConfig config, ForwardPass pass, List<TrainingRow> records, boolean head, long seed,
      Progress progress) {
    Objective objective = objective(config);
    LayerSamples samples = new LayerSamples();
    int each = Math.max(LEAST_PER_RECORD, ROWS / records.size());
    for (int i = 0; i < records.size(); i++) {
      progress.step("watching the layers", i, records.size());
      TrainingRow record = records.get(i);
      SplittableRandom random = new SplittableRandom(seed + i);
      PassRows rows = objective.rows(List.of(record.example()), new long[] {random.nextLong()}, 1);
      if (!rows.targets().isEmpty()) { // else nothing was hidden
        pass.run(record, rows, new Collector(samples, pass.stream(), picks(rows, each, random), each, head));
      }
    }
    progress.step("watching the layers", records.size(), records.size());
    return samples;
  }

  /** Numbers of some rows of the pass. */
  private static List<Integer> picks(PassRows rows, int count, SplittableRandom random) {
    int context = Math.min(count / 4, rows.firstLearning());
    List<Integer> picks = new ArrayList<>(spread(0, rows.firstLearning(), context, random));
    picks.addAll(spread(rows.firstLearning(), rows.rows(), count - context, random));
    return picks;
  }

  /** Numbers from {@code from} to {@code to}, one from each of {@code count} equal parts. */
  private static List<Integer> spread(int from, int to, int count, SplittableRandom random) {
    List<Integer> numbers = new ArrayList<>();
    int parts = Math.min(count, to - from);
    for (int i = 0; i < parts; i++) {
      numbers.add(from + (int) ((i + random.nextDouble()) * (to - from) / parts));
    }
    return numbers;
  }

  /** Takes rows from the device while the pass runs. */
  private record Collector(LayerSamples samples, Stream stream, List<Integer> picks, int each, boolean head) implements LayerInputs {
    @Override
    public void hear(int layer, Place place, DeviceBuffer x, int rows) {
      if (place == Place.HEAD && !head) {
        return;
      }
      long in = x.shape()[1];
      for (int row : place == Place.HEAD ? spread(0, rows, each, new SplittableRandom(rows)) : picks) {
        samples.add(layer, place, x.slice(row * in, in).getFloats(stream));
      }
    }
  }
}
