// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Consumer;

/** A request that an {@link Engine} has taken. Safe for use by several threads. */
public final class Generation {
  private final CompletableFuture<GenerationResult> outcome = new CompletableFuture<>();
  private final CompletableFuture<GenerationResult> result;
  private final Duration timeout; // null: none
  private final long deadline; // System.nanoTime; with a timeout
  private volatile boolean cancelled;

  /** @param count hears of the result, null for a failure, before anybody who waits for it */
  Generation(Duration timeout, Consumer<GenerationResult> count) {
    result = outcome.whenComplete((answer, failure) -> count.accept(answer));
    this.timeout = timeout;
    deadline = timeout == null ? 0 : System.nanoTime() + timeout.toNanos();
  }

  /**
   * The answer, once it is finished and its listener has heard all of it; cancelling this future does nothing to the generation. It fails
   * with {@link EngineException}, with {@link NumericalException}, with {@link dev.diffusionvl.runtime.OutOfDeviceMemoryException}, or with
   * what the listener threw. What depends on it runs on a thread of its own and delays nobody.
   */
  public CompletableFuture<GenerationResult> result() {
    return result.copy();
  }

  /**
   * Waits for the answer.
   *
   * @throws EngineException and the other failures of {@link #result}, as they are
   */
  public GenerationResult await() {
    try {
      return result.join();
    } catch (CompletionException e) {
      switch (e.getCause()) {
        case RuntimeException failure -> throw failure;
        case Error failure -> throw failure;
        default -> throw e;
      }
    }
  }

  /** Ends the generation before its next pass; the result then has the finished blocks and the finish reason {@code cancelled}. */
  public void cancel() {
    cancelled = true;
  }

  /** Whether the result is there, or a failure instead. */
  public boolean isDone() {
    return result.isDone();
  }

  boolean cancelled() {
    return cancelled;
  }

  /** Its time is over. */
  boolean late() {
    return timeout != null && System.nanoTime() - deadline >= 0;
  }

  Duration timeout() {
    return timeout;
  }

  void complete(GenerationResult answer) {
    outcome.complete(answer);
  }

  void fail(Throwable failure) {
    outcome.completeExceptionally(failure);
  }
}
