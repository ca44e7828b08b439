// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Engine;
import dev.diffusionvl.model.EngineOptions;
import dev.diffusionvl.model.Generation;
import dev.diffusionvl.model.GenerationListener;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.Consumer;

/**
 * Asks a model questions, several at the same time.
 *
 * @param engine how many, and with which memory
 */
public record EvalRun(Exam exam, EngineOptions engine) {
  /** Those waiting for a slot keep it from being empty while the next image is read. */
  private static final int WAITING_PER_SLOT = 1;

  private record Pending(Question question, Generation generation) {}

  /** @param rows of keys and values that the longest question and its answer take */
  public static EngineOptions options(int slots, int rows) {
    return EngineOptions.DEFAULTS.withSlots(slots).withQueue(slots * WAITING_PER_SLOT).withKvTokens(Math.max(1, slots * rows));
  }

  /**
   * Answers come into the log in the order of the questions.
   *
   * @param listener hears of each answer when it is in the log
   */
  public void ask(DiffusionVl model, SampleLog log, Consumer<ObjectNode> listener) {
    int together = engine.slots() == 1 ? 1 : engine.slots() * (1 + WAITING_PER_SLOT);
    PromptForm form = PromptForm.of(model.config());
    Deque<Pending> pending = new ArrayDeque<>();
    try (Engine shared = model.newEngine(engine)) {
      exam.questions().forEach(question -> {
        if (pending.size() == together) {
          take(pending, log, listener);
        }
        Generation generation = shared.submit(question.request(form), exam.options(), GenerationListener.NONE);
        pending.add(new Pending(question.withoutPictures(), generation));
      });
      while (!pending.isEmpty()) {
        take(pending, log, listener);
      }
    }
  }

  private void take(Deque<Pending> pending, SampleLog log, Consumer<ObjectNode> listener) {
    Pending first = pending.removeFirst();
    listener.accept(log.add(exam.task(), first.question, first.generation.await()));
  }

  /**
   * What the answers in a log come to. It depends on the answers alone: not on time, nor on how often the run was interrupted.
   *
   * @return {@code task}, the figures, {@code right}, {@code asked}, {@code forwards}, {@code tokens}, and {@code samples} with the id and
   *     score of each
   */
  public static ObjectNode result(EvalTask task, SampleLog log) {
    ObjectNode scored = RecordedAnswers.of(log.file(), log.samples()).scorePart(task);
    ArrayNode samples = (ArrayNode) scored.remove("samples");
    long right = 0;
    for (int i = 0; i < samples.size(); i++) {
      right += samples.get(i).get("score").asDouble() == 1 ? 1 : 0;
    }
    scored.put("right", right).put("asked", samples.size()).put("forwards", sum(log, "forwards")).put("tokens", sum(log, "tokens"));
    return scored.set("samples", samples);
  }

  private static long sum(SampleLog log, String field) {
    return log.samples().stream().mapToLong(sample -> sample.path(field).asLong()).sum();
  }
}
