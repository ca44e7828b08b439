// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.function.Consumer;

/** A sequence of a {@link Batch} with what it holds on the device, and when what happened. */
final class Running implements AutoCloseable {
  private final PreparedPrompt prompt;
  private final Sequence sequence;
  private final Consumer<Batch.Outcome> whenDone;
  private final DeviceBuffer embeddings;
  private final double visionMillis;
  private final long begin = System.nanoTime();
  private long promptDone;
  private boolean kept;

  /**
   * @param embeddings of the prompt, which this owns
   * @param submitted {@link System#nanoTime} at which the work on it began
   */
  Running(PreparedPrompt prompt, Sequence sequence, Consumer<Batch.Outcome> whenDone, DeviceBuffer embeddings, long submitted) {
    this.prompt = prompt;
    this.sequence = sequence;
    this.whenDone = whenDone;
    this.embeddings = embeddings;
    visionMillis = (begin - submitted) / 1e6;
    sequence.embeddings(embeddings);
  }

  PreparedPrompt prompt() {
    return prompt;
  }

  Sequence sequence() {
    return sequence;
  }

  /** A chunk of the prompt was read; the last call counts. */
  void promptRead() {
    promptDone = System.nanoTime();
  }

  /** Once true, when the prompt is worth keeping for others, which was not asked before. */
  boolean keeps() {
    boolean first = !kept && prompt.key() != null;
    kept = true;
    return first;
  }

  /** Embeddings of the prompt. */
  DeviceBuffer embeddings() {
    return embeddings;
  }

  GenerationResult result(double loadMillis) {
    long end = System.nanoTime();
    long prefilled = promptDone == 0 ? begin : promptDone;
    var timings = new GenerationResult.Timings(loadMillis, visionMillis, (prefilled - begin) / 1e6, (end - prefilled) / 1e6);
    GenerationEvents events = sequence.events();
    return new GenerationResult(events.finish(), sequence.answer(), sequence.finishReason(), prompt.plan().length(),
        prompt.plan().imageTokens(), events.generatedTokens(), sequence.counts(), timings,
        sequence.logProbabilities(), sequence.choices());
  }

  void done(Batch.Outcome outcome) {
    whenDone.accept(outcome);
  }

  @Override
  public void close() {
    embeddings.close();
  }
}
