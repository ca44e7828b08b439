// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.InputFiles;
import dev.diffusionvl.loader.Json;
import dev.diffusionvl.loader.NamingScheme;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Parameter;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;

/**
 * Runs a recorded training case, a folder with case.json and images, with its own noise and optimiser: what the steps did here, to be
 * compared with what they did elsewhere.
 */
public final class StepCheck {
  private static final long MAX_BYTES = 64 << 20;

  private StepCheck() {}

  /**
   * Runs all steps of the case.
   *
   * @param model in the state from which the case starts; it is trained by this
   * @param autoregressive learn by next-token loss instead, for which the case's noise is of no account
   * @return a JSON object {@code {"steps": [{"loss", "grad_norm", "gradients": {name: probe}, "weights_after": {name: probe}}, …]}}; names
   *     as in a trained checkpoint, a probe is [L2 norm, sum, Σ v[i] cos(i)] of the tensor as stored
   * @throws BadInputException naming the field that is missing or wrong
   */
  public static String run(DiffusionVl model, Path folder, boolean autoregressive) {
    Path file = folder.resolve("case.json");
    Map<?, ?> recorded = object(file, "", read(file));
    Map<?, ?> optimizer = object(file, "optimizer", recorded.get("optimizer"));
    List<?> steps = some(file, "steps", recorded.get("steps"));
    int blockSize = whole(file, "block_size", recorded.get("block_size"), 1);
    List<TrainingRow> rows = rows(model, folder, some(file, "samples", recorded.get("samples")), blockSize);
    TrainerOptions options = options(file, optimizer, rows.size(), steps.size());
    BlockDiffusionObjective blocks = new BlockDiffusionObjective(blockSize, model.config().maskTokenId(),
        BlockDiffusionObjective.LOWEST);
    Objective objective = autoregressive ? new AutoregressiveObjective() : blocks;
    List<String> results = new ArrayList<>();
    try (Trainer trainer = new Trainer(model, objective, options)) {
      for (Object step : steps) {
        List<Noise> noises = noises(file, list(file, "steps.samples", object(file, "steps", step).get("samples")), rows, blockSize);
        Trainer.Step done = autoregressive ? trainer.step(rows) : trainer.step(rows,
            (examples, first) -> blocks.rows(examples, noises.subList(first, first + examples.size()), rows.size()));
        results.add("{\"loss\": %s, \"grad_norm\": %s, \"gradients\": %s, \"weights_after\": %s}".formatted(done.loss(),
            done.gradientNorm(),
            probes(model, trainer, true), probes(model, trainer, false)));
      }
    }
    return "{\"steps\": [" + String.join(", ", results) + "]}";
  }

  private static TrainerOptions options(Path file, Map<?, ?> optimizer, int samples, int steps) {
    double rate = number(file, "optimizer.lr", optimizer.get("lr"));
    double visionRate = number(file, "optimizer.lr_vision_tower", optimizer.get("lr_vision_tower"));
    double decay = number(file, "optimizer.weight_decay", optimizer.get("weight_decay"));
    double clip = number(file, "optimizer.clip_grad_norm", optimizer.get("clip_grad_norm"));
    try {
      return new TrainerOptions(1, samples, rate, visionRate, 0, steps, true, decay, clip, 0, EnumSet.allOf(TrainedPart.class), false);
    } catch (IllegalArgumentException e) {
      throw BadInputException.of(file, "optimizer", e.getMessage());
    }
  }

  private static List<TrainingRow> rows(DiffusionVl model, Path folder, List<?> samples, int blockSize) {
    RowEncoder.Options options = RowEncoder.Options.of(model.config(), folder).withBlockSize(blockSize);
    RowEncoder encoder = new RowEncoder(model.config(), model.tokenizer(), options);
    List<TrainingRow> rows = new ArrayList<>();
    for (int i = 0; i < samples.size(); i++) {
      rows.add(encoder.encode(ConversationRecord.of(samples.get(i), "samples[" + i + "]")));
    }
    return rows;
  }

  private static List<Noise> noises(Path file, List<?> samples, List<TrainingRow> rows, int blockSize) {
    if (samples.size() != rows.size()) {
      throw BadInputException.of(file, "steps.samples", samples.size() + " entries for " + rows.size() + " samples");
    }
    List<Noise> noises = new ArrayList<>();
    for (int s = 0; s < samples.size(); s++) {
      Map<?, ?> sample = object(file, "steps.samples", samples.get(s));
      double[] level = list(file, "steps.samples.t", sample.get("t")).stream()
          .mapToDouble(t -> number(file, "steps.samples.t", t)).toArray();
      boolean[] masked = new boolean[rows.get(s).example().length()];
      if (level.length != masked.length / blockSize || Arrays.stream(level).anyMatch(t -> !(t > 0 && t <= 1))) {
        throw BadInputException.of(file, "steps.samples.t", "expected " + masked.length / blockSize + " numbers above 0 and up to 1, one "
            + "for each block of the sample");
      }
      for (Object row : list(file, "steps.samples.masked", sample.get("masked"))) {
        int at = whole(file, "steps.samples.masked", row, 0);
        if (at >= masked.length || rows.get(s).example().labels()[at] == BlockDiffusionObjective.NO_LABEL) {
          throw BadInputException.of(file, "steps.samples.masked", "row " + at + " is not a labelled row of the sample");
        }
        masked[at] = true;
      }
      noises.add(new Noise(level, masked));
    }
    return noises;
  }

  /** Probes of the gradients, or of the weights. */
  private static String probes(DiffusionVl model, Trainer trainer, boolean gradients) {
    List<String> probes = new ArrayList<>();
    NamingScheme scheme = TranslatedCheckpoint.scheme(model);
    for (Parameter entry : model.parameters().entries()) {
      DeviceBuffer weight = model.parameters().buffers().get(entry.buffer());
      DeviceBuffer values = gradients ? trainer.gradient(weight) : weight;
      float[] stored = values.slice(entry.offset(), entry.storedElements()).getFloats(trainer.stream());
      float[] inFile = new float[Math.toIntExact(entry.elements())];
      entry.layout().toFile(MemorySegment.ofArray(stored), MemorySegment.ofArray(inFile), entry.rows(), Float.BYTES);
      double[] probe = probe(inFile);
      if (gradients && probe[0] == 0) {
        continue; // nothing of the case reaches it
      }
      probes.add("\"%s\": [%s, %s, %s]".formatted(scheme.nameInFile(entry.name()), probe[0], probe[1], probe[2]));
    }
    return "{" + String.join(", ", probes) + "}";
  }

  private static double[] probe(float[] values) {
    double[] probe = new double[3];
    for (int i = 0; i < values.length; i++) {
      double value = values[i];
      probe[0] += value * value;
      probe[1] += value;
      probe[2] += value * Math.cos(i);
    }
    probe[0] = Math.sqrt(probe[0]);
    return probe;
  }

  private static Object read(Path file) {
    try {
      if (Files.size(file) > MAX_BYTES) {
        throw BadInputException.of(file, "is larger than " + MAX_BYTES + " bytes");
      }
      return Json.tree(Files.readString(file));
    } catch (IOException e) {
      throw InputFiles.failure(file, e);
    }
  }

  private static Map<?, ?> object(Path file, String field, Object value) {
    if (value instanceof Map<?, ?> map) {
      return map;
    }
    throw BadInputException.of(file, field, "expected an object");
  }

  private static List<?> list(Path file, String field, Object value) {
    if (value instanceof List<?> list) {
      return list;
    }
    throw BadInputException.of(file, field, "expected an array");
  }

  private static List<?> some(Path file, String field, Object value) {
    List<?> list = list(file, field, value);
    if (list.isEmpty()) {
      throw BadInputException.of(file, field, "is empty");
    }
    return list;
  }

  private static int whole(Path file, String field, Object value, int least) {
    if (value instanceof Long whole && whole >= least && whole <= Integer.MAX_VALUE) {
      return whole.intValue();
    }
    throw BadInputException.of(file, field, "expected a whole number of at least " + least);
  }

  private static double number(Path file, String field, Object value) {
    if (value instanceof Number number) {
      return number.doubleValue();
    }
    throw BadInputException.of(file, field, "expected a number");
  }
}
