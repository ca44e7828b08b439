// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import java.util.Objects;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Generates answers with a loaded model. Holds a stream, a cuBLAS handle and, from the first request on, the memory that decoding works on,
 * which grows with the longest request. For one thread at a time, not always the same one; a second thread that calls meanwhile gets an
 * IllegalStateException. Several sessions of a model may generate at the same time, and each gives the tokens it would give alone.
 *
 * {@snippet class=dev.diffusionvl.model.ApiExamplesTest region=threads}
 */
public final class Session implements AutoCloseable {
  private final DiffusionVl model;
  private final Batch batch;
  private final KvChoice kv;
  private final AtomicBoolean busy = new AtomicBoolean();
  private volatile boolean closed;

  Session(DiffusionVl model, GemmChoice choice, boolean overlap, KvChoice kv) {
    this.model = model;
    this.kv = kv;
    batch = new Batch(model, Batch.Limits.ALONE, choice, overlap, kv);
  }

  /**
   * A denoising forward to be measured on this session's stream.
   *
   * @param context cached rows that it sees
   * @param rows of the pass, a multiple of the block size
   */
  public ForwardProbe newForwardProbe(int context, int rows) {
    return new ForwardProbe(model, batch.stream(), batch.factory(), kv, context, rows);
  }

  /** Answers a request. */
  public GenerationResult generate(Request request, GenerationOptions options) {
    return generate(request, options, GenerationListener.NONE);
  }

  /**
   * Answers a request and reports progress to the listener.
   *
   * @throws PromptLimitException when prompt or answer exceed the checkpoint's limits (not with compat, which cuts the prompt)
   * @throws NumericalException when the model produces NaN
   * @throws dev.diffusionvl.loader.BadInputException when placeholders and images do not match, turns do not alternate, or an image has
   *     an impossible shape
   * @throws dev.diffusionvl.runtime.OutOfDeviceMemoryException when the request does not fit beside the model
   * @throws IllegalStateException when the session, its model or its device is closed, or the session is generating in another thread
   */
  public GenerationResult generate(Request request, GenerationOptions options, GenerationListener listener) {
    Objects.requireNonNull(request, "request"); // before memory is made for it
    Objects.requireNonNull(options, "options");
    Objects.requireNonNull(listener, "listener");
    if (!busy.compareAndSet(false, true)) {
      throw new IllegalStateException("the session is closed or generating already; open one per thread");
    }
    try {
      model.enter();
      try {
        return answer(request, options, listener);
      } finally {
        model.leave();
      }
    } finally {
      busy.set(false);
    }
  }

  private GenerationResult answer(Request request, GenerationOptions options, GenerationListener listener) {
    long start = System.nanoTime();
    PreparedPrompt prompt = batch.prepare(request, options);
    AtomicReference<Batch.Outcome> outcome = new AtomicReference<>();
    try {
      batch.admit(prompt, GenerationEvents.of(model, prompt, listener), start, outcome::set);
      while (outcome.get() == null) {
        batch.step();
      }
    } catch (Throwable failure) {
      batch.abort(null);
      throw failure;
    }
    if (outcome.get().failure() != null) {
      throw outcome.get().failure();
    }
    return outcome.get().result();
  }

  /**
   * Releases the stream, the cuBLAS handle and the image encoder. Idempotent.
   *
   * @throws IllegalStateException while the session generates; to end that see {@link GenerationListener#isCancelled}
   */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    if (!busy.compareAndSet(false, true)) {
      throw new IllegalStateException("the session is generating: close it after that");
    }
    closed = true; // busy stays set, so that no later call gets in
    batch.close();
  }
}
