// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.train.Lora;
import dev.diffusionvl.train.Optimizer;
import dev.diffusionvl.train.TrainedPart;
import dev.diffusionvl.train.TrainerOptions;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Option;

/** Options of a training run that say how it learns. */
final class TrainingOptions {
  private static final Pattern LORA = Pattern.compile("(\\d{1,5})(?::(\\d{1,9}(?:\\.\\d{1,9})?))?");

  @Option(names = "--steps", paramLabel = "N", description = "optimiser steps (default: one pass over the data)")
  private Integer steps;

  @Option(names = "--epochs", paramLabel = "N", description = "passes over the data, in place of --steps")
  private Integer epochs;

  @Option(names = "--batch", paramLabel = "N", defaultValue = "1", description = "records in one pass")
  private int batch;

  @Option(names = "--accumulate", paramLabel = "N", defaultValue = "1", description = "passes per step, whose gradients are added up")
  private int accumulate;

  @Option(names = "--lr", paramLabel = "RATE", defaultValue = "1e-5", description = "highest learning rate of language model and projector")
  private double rate;

  @Option(names = "--lr-vision", paramLabel = "RATE", defaultValue = "2e-6", description = "highest learning rate of the vision tower")
  private double visionRate;

  @Option(names = "--warmup", paramLabel = "PART", defaultValue = "0.03", description = "part of the steps over which the rates rise")
  private double warmup;

  @Option(names = "--seed", paramLabel = "N", defaultValue = "42", description = "of the order of the data and of the noise")
  private long seed;

  @Option(names = "--train", paramLabel = "PARTS", defaultValue = "lm,projector,vision", split = ",",
      description = "parts that are trained: lm, projector, vision")
  private Set<String> parts;

  @Option(names = "--feature-cache", paramLabel = "DIR", description = "keep in DIR what a frozen vision tower makes of images, so that "
      + "each goes through it once; runs that share the tower may share it")
  private Path featureCache;

  @Option(names = "--lora", paramLabel = "RANK[:ALPHA]", description = "train low-rank adapters of the language model's projections in "
      + "place of its weights, and add ALPHA/RANK times them to what is written (ALPHA: twice the rank)")
  private String lora;

  @Option(names = "--optimizer", paramLabel = "NAME", defaultValue = "adamw", description = "adamw, or adamw8bit: its moments in 8 bits")
  private String optimizer;

  @Option(names = "--recompute", description = "keep only the layers' inputs on the way forward: less memory, a third more work")
  private boolean recompute;

  /** What is wrong whatever base and data are. */
  void requireRanges() {
    require(batch >= 1, "batch", batch, "1 or more");
    require(accumulate >= 1, "accumulate", accumulate, "1 or more");
    require((long) batch * accumulate <= Integer.MAX_VALUE, "accumulate", accumulate, "so many that a step has fewer than 2^31 records");
    require(steps == null || steps >= 1, "steps", steps, "1 or more");
    require(epochs == null || epochs >= 1, "epochs", epochs, "1 or more");
    require(rate > 0 && rate < Double.POSITIVE_INFINITY, "lr", rate, "above 0");
    require(visionRate > 0 && visionRate < Double.POSITIVE_INFINITY, "lr-vision", visionRate, "above 0");
    require(warmup >= 0 && warmup <= 1, "warmup", warmup, "0 to 1");
    if (steps != null && epochs != null) {
      throw new Dvl.UsageException("--steps and --epochs exclude each other");
    }
    options(1);
  }

  static void require(boolean ok, String option, Object value, String allowed) {
    if (!ok) {
      throw new Dvl.UsageException("--" + option + " is " + value + ", allowed is " + allowed);
    }
  }

  long seed() {
    return seed;
  }

  /** Records in one pass. */
  int batch() {
    return batch;
  }

  /** The options of a run. @param records of its data */
  TrainerOptions of(int records) {
    int perStep = batch * accumulate;
    long wanted = steps != null ? steps : ((long) (epochs != null ? epochs : 1) * records + perStep - 1) / perStep;
    require(wanted <= Integer.MAX_VALUE, "epochs", epochs, "fewer than 2^31 steps");
    return options((int) wanted);
  }

  /** The options of a run of so many steps. */
  TrainerOptions options(int wanted) {
    Set<TrainedPart> trained = trainedParts();
    Lora adapters = lora(trained);
    if (featureCache != null && trained.contains(TrainedPart.VISION)) {
      throw new Dvl.UsageException("--feature-cache keeps what a frozen vision tower makes of images, but --train has vision");
    }
    return new TrainerOptions(batch, accumulate, rate, visionRate, warmup, wanted, false, 0, 1, seed, trained, recompute,
        ModelChoice.choice("optimizer", optimizer, "adamw", Optimizer.ADAMW, "adamw8bit", Optimizer.ADAMW_8BIT), adapters, featureCache);
  }

  private Set<TrainedPart> trainedParts() {
    Set<TrainedPart> trained = EnumSet.noneOf(TrainedPart.class);
    for (String part : parts) {
      switch (part) {
        case "lm" -> trained.add(TrainedPart.LM);
        case "projector" -> trained.add(TrainedPart.PROJECTOR);
        case "vision" -> trained.add(TrainedPart.VISION);
        default -> throw new Dvl.UsageException("--train has '" + part + "', allowed are lm, projector and vision");
      }
    }
    return trained;
  }

  private Lora lora(Set<TrainedPart> trained) {
    if (lora == null) {
      return null;
    }
    Matcher given = LORA.matcher(lora);
    int rank = given.matches() ? Integer.parseInt(given.group(1)) : 0;
    double alpha = rank == 0 ? 0 : given.group(2) == null ? 2.0 * rank : Double.parseDouble(given.group(2));
    if (rank == 0 || !(alpha > 0)) {
      throw new Dvl.UsageException("--lora is '" + lora + "', expected RANK or RANK:ALPHA, both above 0");
    }
    if (!trained.contains(TrainedPart.LM)) {
      throw new Dvl.UsageException("--lora adapts the language model, which --train leaves out");
    }
    return new Lora(rank, alpha);
  }
}
