// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.AnyresConfig;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.VisionConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.ToIntFunction;
import java.util.stream.IntStream;

/** Sizes of the largest passes by their number of records, known before training. */
public final class PassSizes {
  /** Records that are looked at of each kind. */
  private static final int LOOKED_AT = 16;

  private final List<Record> records;

  private PassSizes(List<Record> records) {
    this.records = records;
  }

  /**
   * Of records that are as long as they may be, all of it answer, each with an image as large as it may be. A bound, not a guess.
   *
   * @param maxLength rows at which a conversation is cut
   */
  public static PassSizes longest(ModelConfig config, Objective objective, int maxLength) {
    Example example = new Example(new int[maxLength], new int[maxLength]);
    int image = largestImage(config, maxLength);
    int features = switch (config.family()) {
      case QWEN_VL -> image / unit(config.vision());
      case QWEN_SIGLIP -> maxLength;
      case QWEN_TEXT -> 0;
    };
    return new PassSizes(List.of(Record.of(example, objective, features, image)));
  }

  /** Patches or tiles. */
  private static int largestImage(ModelConfig config, int maxLength) {
    return switch (config.family()) {
      case QWEN_VL -> {
        VisionConfig vision = config.vision();
        long patches = config.maxPixels() / ((long) vision.patchSize() * vision.patchSize());
        yield (int) Math.min(patches / unit(vision), maxLength) * unit(vision); // an image that is longer leaves no answer
      }
      case QWEN_SIGLIP -> {
        AnyresConfig anyres = config.sigLip().anyres();
        int side = config.sigLip().imageSize();
        yield anyres == null ? 1
            : 1 + anyres.resolutions().stream().mapToInt(canvas -> canvas.width() / side * (canvas.height() / side)).max().orElse(0);
      }
      case QWEN_TEXT -> 0;
    };
  }

  private static int unit(VisionConfig vision) {
    return vision.spatialMergeSize() * vision.spatialMergeSize();
  }

  /**
   * Of some records of a file: the longest texts with images, the longest without, and some spread over the file. A longer one may be among
   * the others; training then takes more memory than planned, or stops for want of it.
   */
  public static PassSizes of(ConversationData data, Objective objective) {
    Set<Integer> numbers = new TreeSet<>();
    numbers.addAll(data.longest(LOOKED_AT, true));
    numbers.addAll(data.longest(LOOKED_AT, false));
    IntStream.range(0, LOOKED_AT).forEach(i -> numbers.add((int) ((long) data.size() * i / LOOKED_AT)));
    List<Record> records = new ArrayList<>();
    for (int number : numbers) {
      Outcome<TrainingRow> row = data.outcome(number);
      if (row.bad() == null) {
        records.add(Record.of(row.value(), objective));
      }
    }
    return new PassSizes(records);
  }

  /** Sizes of a pass of one record alone. */
  private record Record(int rows, int targets, int positions, int features, int image) {
    static Record of(Example example, Objective objective, int features, int image) {
      PassRows alone = objective.largest(List.of(example));
      return new Record(alone.rows(), alone.targets().size(), alone.positions(), features, image);
    }

    static Record of(TrainingRow row, Objective objective) {
      int image = row.images().stream().mapToInt(rows -> switch (rows.image()) {
        case PreparedImage.Patches patches -> patches.pixels().gridHeight() * patches.pixels().gridWidth();
        case PreparedImage.Tiles tiles -> tiles.tiles().tiles();
      }).max().orElse(0);
      return of(row.example(), objective, row.example().imageRows(), image);
    }
  }

  /** A pass of so many of the largest records; where they are fewer, of these over and over. */
  public PassSize of(int batch) {
    if (records.isEmpty()) {
      return new PassSize(1, 1, 1, 0, 0); // all that were looked at are bad
    }
    int positions = records.stream().mapToInt(Record::positions).max().orElse(0);
    int image = records.stream().mapToInt(Record::image).max().orElse(0);
    return new PassSize(ofLargest(Record::rows, batch), ofLargest(Record::targets, batch), positions,
        ofLargest(Record::features, batch), image);
  }

  private int ofLargest(ToIntFunction<Record> size, int count) {
    int[] sorted = records.stream().mapToInt(size).sorted().toArray();
    long sum = IntStream.range(0, count).mapToLong(i -> sorted[sorted.length - 1 - i % sorted.length]).sum();
    return (int) Math.min(sum, Integer.MAX_VALUE);
  }
}
