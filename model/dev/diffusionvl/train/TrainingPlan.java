// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.model.ModelOutline;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.train.TrainingMemory.Use;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * The device memory that a training run takes, known before anything is loaded: counted by the code that allocates it later, run without
 * a device. In bytes.
 *
 * @param options of the run
 * @param size of its largest pass
 * @param weights as the model computes with them, and adapters
 * @param masters F32 copies of the trained weights, where the model computes in BF16
 * @param moments of the optimiser
 * @param gradients of the trained weights, F32
 * @param activations of the language model and what its passes work on
 * @param vision the same for the vision tower and its projector
 * @param asking what held-out questions take while they are asked; activations and vision are not there meanwhile
 * @param workspaces rotary tables, features of a pass's images, lists of rows, and what cuBLAS works on
 */
public record TrainingPlan(TrainerOptions options, PassSize size, long weights, long masters, long moments, long gradients,
    long activations, long vision, long asking, long workspaces) {
  private static final int USUAL_RANK = 16;
  private static final long LISTS_PER_ROW = 6 * Integer.BYTES; // DevicePass
  private static final long LISTS_PER_TARGET = 3 * Integer.BYTES;

  /** Something that takes less memory. */
  private enum Saving {
    RECOMPUTE("--recompute"), BATCH("--batch 1 --accumulate "), OPTIMIZER("--optimizer adamw8bit"), LM_ONLY("--train lm"),
    LORA("--lora " + USUAL_RANK);

    private final String flags;

    Saving(String flags) {
      this.flags = flags;
    }

    private boolean applies(TrainerOptions options) {
      return switch (this) {
        case RECOMPUTE -> !options.recompute();
        case BATCH -> options.batch() > 1;
        case OPTIMIZER -> options.optimizer() != Optimizer.ADAMW_8BIT;
        case LM_ONLY -> options.parts().size() > 1 && options.parts().contains(TrainedPart.LM);
        case LORA -> options.lora() == null && options.parts().contains(TrainedPart.LM);
      };
    }

    private TrainerOptions apply(TrainerOptions options) {
      return switch (this) {
        case RECOMPUTE -> options.withRecompute(true);
        case BATCH -> options.withBatch(1, options.recordsPerStep());
        case OPTIMIZER -> options.withOptimizer(Optimizer.ADAMW_8BIT);
        case LM_ONLY -> options.withParts(Set.of(TrainedPart.LM));
        case LORA -> options.withLora(new Lora(USUAL_RANK, 2 * USUAL_RANK));
      };
    }
  }

  /** Flags of {@code dvl translate} with which a run fits, and what it then needs. */
  public record Alternative(String flags, long need) {}

  /** The plan of a run that asks no questions. */
  public static TrainingPlan of(ModelConfig config, DType dtype, TrainerOptions options, PassSize size, Device device) {
    return of(config, dtype, options, size, 0, device);
  }

  /**
   * The plan of a run.
   *
   * @param dtype that the model computes in, BF16 or F32
   * @param asking bytes that held-out questions take beside the model; 0: none are asked
   * @param device that it will run on; null: a GPU
   */
  public static TrainingPlan of(ModelConfig config, DType dtype, TrainerOptions options, PassSize size, long asking, Device device) {
    return of(config, dtype, ModelOutline.of(config, dtype), options, size, asking, device);
  }

  private static TrainingPlan of(ModelConfig config, DType dtype, ModelOutline model, TrainerOptions options, PassSize size, long asking,
      Device device) {
    TextConfig text = config.text();
    TrainingMemory memory = TrainingMemory.counting();
    TrainingState state = new TrainingState(null, memory, model.parameters(), model.text(), dtype, options);
    state.activations(memory.of(Use.ACTIVATIONS), dtype, text, TextActivations.rounded(size.rows()),
        TextActivations.rounded(size.targets()), options.recompute());
    TrainingMemory workspaces = memory.of(Use.WORKSPACES);
    long pairs = text.headDim() / 2;
    workspaces.own("rotary angles", DType.F32, 2, TextActivations.rounded(size.positions()), pairs);
    workspaces.own("image features", dtype, size.features(), text.hiddenSize());
    if (options.learnsFromImages()) {
      workspaces.own("gradient of image features", DType.F32, size.features(), text.hiddenSize());
    }
    workspaces.count(size.rows() * LISTS_PER_ROW + size.targets() * LISTS_PER_TARGET + Gemm.workspaceBytes(device));
    long vision = size.image() == 0 ? 0 : VisionTraining.bytes(config, dtype, size.image(), options.parts().contains(TrainedPart.VISION),
        options.recompute());
    return new TrainingPlan(options, size, model.bytes() + memory.bytes(Use.WEIGHTS), memory.bytes(Use.MASTERS), memory.bytes(Use.MOMENTS),
        memory.bytes(Use.GRADIENTS), memory.bytes(Use.ACTIVATIONS), vision, asking,
        memory.bytes(Use.WORKSPACES));
  }

  /** Bytes that held-out questions take beyond the activations, in whose place they come. */
  public long questions() {
    return Math.max(0, asking - activations - vision);
  }

  /** Bytes in all. */
  public long need() {
    return weights + masters + moments + gradients + activations + vision + questions() + workspaces;
  }

  /**
   * What to change so that the run fits: the smallest sets of changes that suffice, those with fewest changes first.
   *
   * @param sizes the largest passes
   */
  public List<Alternative> alternatives(ModelConfig config, DType dtype, Device device, PassSizes sizes, long free) {
    ModelOutline model = ModelOutline.of(config, dtype);
    List<EnumSet<Saving>> enough = new ArrayList<>();
    List<Alternative> found = new ArrayList<>();
    for (EnumSet<Saving> savings : subsets()) {
      if (savings.stream().allMatch(saving -> saving.applies(options)) && enough.stream().noneMatch(savings::containsAll)) {
        TrainerOptions changed = options;
        for (Saving saving : savings) {
          changed = saving.apply(changed);
        }
        TrainingPlan plan = of(config, dtype, model, changed, sizes.of(changed.batch()), asking, device);
        if (plan.need() <= free) {
          enough.add(savings);
          found.add(new Alternative(flags(savings), plan.need()));
        }
      }
    }
    return found;
  }

  private String flags(EnumSet<Saving> savings) {
    return savings.stream().map(saving -> saving.flags + (saving == Saving.BATCH ? options.recordsPerStep() : ""))
        .collect(Collectors.joining(" "));
  }

  /** All that have a member, small ones first. */
  private static List<EnumSet<Saving>> subsets() {
    List<EnumSet<Saving>> subsets = new ArrayList<>();
    Saving[] all = Saving.values();
    for (int bits = 1; bits < 1 << all.length; bits++) {
      EnumSet<Saving> subset = EnumSet.noneOf(Saving.class);
      for (Saving saving : all) {
        if ((bits >> saving.ordinal() & 1) == 1) {
          subset.add(saving);
        }
      }
      subsets.add(subset);
    }
    subsets.sort((a, b) -> Integer.compare(a.size(), b.size()));
    return subsets;
  }

  /** A table for people, a line per use of memory. */
  public String table(long free) {
    StringBuilder table = new StringBuilder();
    String[] names = {"weights", "masters", "moments", "gradients", "activations", "vision", "questions", "workspaces", "need", "free"};
    long[] bytes = {weights, masters, moments, gradients, activations, vision, questions(), workspaces, need(), free};
    for (int i = 0; i < names.length; i++) {
      table.append(String.format(Locale.ROOT, "%-12s %14s%n", names[i], readable(bytes[i])));
    }
    return table.toString();
  }

  /** The same as one JSON object, in bytes. */
  public String json(long free, List<Alternative> alternatives) {
    String fitting = alternatives.stream().map(other -> "{\"flags\": \"%s\", \"need\": %d}".formatted(other.flags(), other.need()))
        .collect(Collectors.joining(", "));
    return ("{\"weights\": %d, \"masters\": %d, \"moments\": %d, \"gradients\": %d, \"activations\": %d, \"vision\": %d, "
        + "\"questions\": %d, \"workspaces\": %d, \"need\": %d, \"free\": %d, \"fits\": %b, \"rows\": %d, \"targets\": %d, "
        + "\"alternatives\": [%s]}")
        .formatted(weights, masters, moments, gradients, activations, vision, questions(), workspaces, need(), free, need() <= free,
            size.rows(), size.targets(), fitting);
  }

  /** In units of 1000. */
  public static String readable(long bytes) {
    return bytes >= 1e8 ? String.format(Locale.ROOT, "%.2f GB", bytes / 1e9) : String.format(Locale.ROOT, "%.2f MB", bytes / 1e6);
  }
}
