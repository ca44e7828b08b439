// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.StreamDecoder;
import dev.diffusionvl.model.GenerationListener.Phase;
import dev.diffusionvl.model.GenerationListener.Progress;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntPredicate;

/** Puts what happens in a generation into a listener's terms, and gathers the final text: one call for each event. */
final class GenerationEvents {
  private final GenerationListener listener;
  private final StreamDecoder decoder;
  private final int promptLength;
  private final int genLength;
  private final int maskId;
  private final IntPredicate ends;
  private final StringBuilder text = new StringBuilder();
  private int finalIds;
  private boolean ended;
  private boolean cancelled;

  GenerationEvents(GenerationListener listener, StreamDecoder decoder, int promptLength, int genLength, int maskId, IntPredicate ends) {
    this.listener = listener;
    this.decoder = decoder;
    this.promptLength = promptLength;
    this.genLength = genLength;
    this.maskId = maskId;
    this.ends = ends;
  }

  static GenerationEvents of(DiffusionVl model, PreparedPrompt prompt, GenerationListener listener) {
    return new GenerationEvents(listener, model.tokenizer().newStreamDecoder(), prompt.plan().length(), prompt.options().genLength(),
        model.config().maskTokenId(), id -> prompt.options().decoding().ends(model.config(), id));
  }

  /** To be asked before each piece of work; once true it stays true. */
  boolean cancelled() {
    cancelled |= listener.isCancelled() || Thread.currentThread().isInterrupted();
    return cancelled;
  }

  /** The last answer of {@link #cancelled}, without asking again. */
  boolean wasCancelled() {
    return cancelled;
  }

  void imageEncoded(int done, int images) {
    listener.onProgress(new Progress(Phase.VISION, done, images));
  }

  /** So many of the rows of the prompt's whole blocks are stored. */
  void promptRead(int done, int rows) {
    listener.onProgress(new Progress(Phase.PREFILL, done, rows));
  }

  /** Whether steps are to be reported as they happen. */
  boolean live() {
    return listener.isLive();
  }

  /**
   * A denoising step of the block whose rows stand at {@code begin}. {@code state} may be that after later steps: it knows which step
   * committed what.
   */
  void step(int block, int step, int begin, Committed state) {
    if (listener == GenerationListener.NONE) {
      return;
    }
    List<GenerationListener.Commit> committed = new ArrayList<>();
    for (int i = 0; i < state.rows(); i++) {
      if (state.stepOf(i) == step) {
        committed.add(new GenerationListener.Commit(begin + i, state.id(i), state.confidence(i)));
      }
    }
    if (committed.isEmpty()) {
      return;
    }
    listener.onStep(block, step, List.copyOf(committed));
    BlockPreview preview = preview(block, step, begin, state);
    listener.onPreview(preview);
    int before = Math.clamp(begin - promptLength, 0, genLength);
    listener.onProgress(new Progress(Phase.DENOISING, before + preview.tokenIds().length - preview.masks(), genLength));
  }

  private BlockPreview preview(int block, int step, int begin, Committed state) {
    int from = Math.max(begin, promptLength);
    int to = Math.max(from, Math.min(begin + state.rows(), promptLength + genLength));
    int[] ids = new int[to - from];
    for (int i = 0; i < ids.length; i++) {
      int row = from + i - begin;
      ids[i] = state.stepOf(row) >= 0 && state.stepOf(row) <= step ? state.id(row) : maskId;
    }
    return new BlockPreview(block, step, from, ids, maskId, ends, decoder.copy());
  }

  /** A block is finished: the answer's first {@code finalIds} ids, or all of them, will not change. */
  void blockDone(int[] answer, int finalIds) {
    StringBuilder piece = new StringBuilder();
    for (; !ended && this.finalIds < Math.min(finalIds, answer.length); this.finalIds++) {
      ended = ends.test(answer[this.finalIds]);
      if (!ended) {
        piece.append(decoder.accept(answer[this.finalIds]));
      }
    }
    emit(piece.toString());
  }

  /** The end: what is left of an unfinished character. Returns the whole text. */
  String finish() {
    emit(decoder.finish());
    return text.toString();
  }

  /** Ids before the first EOS in finished blocks. */
  int generatedTokens() {
    return ended ? finalIds - 1 : finalIds;
  }

  private void emit(String piece) {
    if (!piece.isEmpty()) {
      text.append(piece);
      listener.onText(piece);
    }
  }
}
