// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelShapes;
import dev.diffusionvl.model.Decoding;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Execution;
import dev.diffusionvl.model.GenerationOptions.Remasking;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;

/** The same questions in each decoding and schedule that a model has. */
public final class Comparison {
  private static final Execution DRAFTS = new Execution(true, true, Execution.MAX_SPECULATE);

  private record Way(String schedule, Decoding decoding, Execution execution) {}

  private Comparison() {}

  private static List<Way> ways(ModelConfig config) {
    List<Way> ways = new ArrayList<>();
    if (!config.diffusion()) {
      ways.add(new Way("token by token", new Decoding.Autoregressive(), Execution.DEFAULTS));
      ways.add(new Way("token by token, drafts", new Decoding.Autoregressive(), DRAFTS));
      return ways;
    }
    for (int steps : new int[] {8, 16, 32}) {
      ways.add(new Way(steps + " steps", new Decoding.Full(0, steps, Remasking.LOW_CONFIDENCE_STATIC, 0), Execution.DEFAULTS));
    }
    for (int steps : new int[] {8, 4, 2, 1}) {
      Decoding block = Decoding.Block.DEFAULTS.withSteps(steps);
      ways.add(new Way("static, " + steps + (steps == 1 ? " step" : " steps") + " per block", block, Execution.DEFAULTS));
      if (steps == 8) {
        ways.add(new Way("static, 8 steps per block, drafts", block, DRAFTS));
      }
    }
    for (float threshold : new float[] {0.95f, 0.85f, 0.7f, 0.5f}) {
      Decoding block = Decoding.Block.DEFAULTS.withRemasking(Remasking.LOW_CONFIDENCE_DYNAMIC, threshold);
      ways.add(new Way("dynamic, above " + threshold, block, Execution.DEFAULTS));
      if (threshold == 0.85f) {
        ways.add(new Way("dynamic, above " + threshold + ", drafts", block, DRAFTS));
      }
    }
    return ways;
  }

  /**
   * Asks all questions in all ways, one after another.
   *
   * @param listener hears of each way when it is done
   */
  public static List<Compared> of(DiffusionVl model, Exam exam, Consumer<Compared> listener) {
    List<Compared> all = new ArrayList<>();
    for (Way way : ways(model.config())) {
      List<Asked> answers = exam.with(way.decoding, way.execution).ask(model, answer -> { });
      all.add(Compared.of(way.decoding.label(), way.schedule, answers, weightBytes(model)));
      listener.accept(all.getLast());
    }
    return all;
  }

  /** What a pass reads: the layers and the output matrix. */
  private static long weightBytes(DiffusionVl model) {
    String head = model.config().text().tieWordEmbeddings() ? ModelShapes.EMBEDDING : ModelShapes.LM_HEAD;
    return model.dtype().bytes() * ModelShapes.of(model.config()).entrySet().stream()
        .filter(tensor -> tensor.getKey().startsWith("layers.") || tensor.getKey().equals("norm.weight") || tensor.getKey().equals(head))
        .mapToLong(tensor -> Arrays.stream(tensor.getValue()).reduce(1, Math::multiplyExact)).sum();
  }
}
