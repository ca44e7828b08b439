// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.CudaException;
import dev.diffusionvl.runtime.OutOfDeviceMemoryException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;

/**
 * Answers many requests at once: their sequences share forward passes, come and go between passes, and each gives the tokens that it gives
 * alone (docs/batching.md). Safe for use by several threads. One thread of the engine's owns the device work; listeners are called by
 * threads of their own, one at a time per generation.
 *
 * <p>Every generation ends: with a result, or with what ended it. Too little device memory, NaN and a listener that throws end one
 * generation; a device that fails ends all of them and the engine.
 *
 * {@snippet class=dev.diffusionvl.model.ApiExamplesTest region=engine}
 */
public final class Engine implements AutoCloseable {
  private final DiffusionVl model;
  private final EngineOptions options;
  private final Batch batch; // the worker's
  private final Thread worker;
  private final List<Task> waiting = new ArrayList<>(); // by priority, then as they came; guarded by this, like all below
  private final Set<Task> open = new HashSet<>(); // waiting, running, or not yet heard of by their listeners
  private boolean draining;
  private boolean closed;
  private Throwable failure; // of the device
  private EngineStats stats;

  /** A request on its way through the engine. */
  private record Task(PreparedPrompt prompt, Generation generation, Mailbox mailbox, int priority) {}

  Engine(DiffusionVl model, EngineOptions options) {
    this.model = model;
    this.options = options;
    batch = new Batch(model, new Batch.Limits(options.slots(), options.kvTokens(), options.prefillRows(), options.prefixCacheBytes()),
        options.gemm(), options.overlap(), options.kv());
    try {
      GenerationOptions usual = GenerationOptions.of(model.config()).withExecution(options.execution());
      int blockSize = usual.decoding().blockSize(model.config());
      batch.reserve(DecodingRules.of(usual.decoding(), model.config()).extent(blockSize, blockSize), usual);
    } catch (RuntimeException e) {
      batch.close();
      throw e;
    }
    stats = new EngineStats(options.slots(), 0, 0, options.kvTokens(), 0, 0, 0, 0, 0, 0, 0, 0);
    worker = Thread.ofPlatform().name("diffusionvl-engine").daemon().start(this::work);
  }

  /** {@link #submit(Request, GenerationOptions, GenerationListener, EngineOptions.Service)} without a deadline. */
  public Generation submit(Request request, GenerationOptions options, GenerationListener listener) {
    return submit(request, options, listener, EngineOptions.Service.DEFAULTS);
  }

  /**
   * Puts a request into the queue. Tokens and images are prepared by the calling thread, and what is wrong with them is said here.
   *
   * @param options their execution is not looked at: the engine has its own
   * @param listener hears of the progress on a thread of the engine's; asked here whether it is live
   * @throws PromptLimitException when prompt or answer exceed the checkpoint's limits (not with compat, which cuts the prompt), or the
   *     engine's memory for keys and values
   * @throws dev.diffusionvl.loader.BadInputException when placeholders and images do not match, turns do not alternate, or an image has
   *     an impossible shape
   * @throws EngineException.QueueFull when as many requests wait as may
   * @throws EngineException.Closed when the engine takes no more requests
   */
  public Generation submit(Request request, GenerationOptions options, GenerationListener listener, EngineOptions.Service service) {
    Objects.requireNonNull(listener, "listener");
    Objects.requireNonNull(service, "service");
    checkOpen(); // before the work of preparing
    PreparedPrompt prompt = batch.prepare(request, options.withExecution(this.options.execution()));
    int rows = batch.cacheRows(prompt);
    if (rows > this.options.kvTokens()) {
      throw new PromptLimitException("prompt and answer need %d rows of keys and values, the engine has %d (kv-tokens)".formatted(rows,
          this.options.kvTokens()));
    }
    Generation generation = new Generation(service.timeout(), this::count);
    Task task = new Task(prompt, generation, new Mailbox(listener, generation), service.priority());
    synchronized (this) {
      checkOpen();
      waiting.add(task);
      waiting.sort(Comparator.comparingInt(t -> -t.priority())); // stable
      open.add(task);
      notifyAll();
    }
    generation.result().whenComplete((result, thrown) -> heard(task));
    return generation;
  }

  private synchronized void checkOpen() {
    if (failure != null) {
      throw failed();
    }
    if (closed || draining) {
      throw new EngineException.Closed("the engine takes no more requests", null);
    }
    int free = Math.max(0, options.slots() - stats.running());
    if (waiting.size() >= options.queue() + free) {
      throw new EngineException.QueueFull(waiting.size());
    }
  }

  private EngineException failed() {
    return new EngineException.Closed("the engine's device has failed: " + failure.getMessage(), failure);
  }

  /** Counts it before its caller knows: who has an answer finds it in {@link #stats}. */
  private synchronized void count(GenerationResult result) {
    boolean cancelled = result != null && result.finishReason().equals("cancelled");
    stats = stats.plus(result != null && !cancelled ? 1 : 0, cancelled ? 1 : 0, result == null ? 1 : 0,
        result == null ? 0 : result.generatedTokens());
  }

  private synchronized void heard(Task task) {
    open.remove(task);
    notifyAll();
  }

  private void work() {
    try {
      while (awaitWork()) {
        admit();
        batch.step();
        report();
      }
    } catch (Throwable thrown) {
      synchronized (this) {
        failure = thrown;
      }
    }
    endAll();
    batch.close();
  }

  /** Waits until there is something to do; false when the engine is closed. */
  private synchronized boolean awaitWork() {
    while (!closed && waiting.isEmpty() && batch.running() == 0) {
      try {
        wait();
      } catch (InterruptedException e) {
        closed = true; // nobody interrupts the worker but who wants it to end
      }
    }
    return !closed;
  }

  /**
   * Takes in what waits and fits, in order: what does not fit yet is not overtaken. While others run, at most one request with images
   * between two passes, since they wait for its run of the vision tower.
   */
  private void admit() {
    boolean othersWait = batch.running() > 0;
    for (Task task = next(); task != null; task = next()) {
      if (task.generation().cancelled() || task.generation().late()) {
        finish(task, new Batch.Outcome(nothing(task.prompt()), null));
        continue;
      }
      Task admitted = task;
      GenerationEvents events = GenerationEvents.of(model, task.prompt(), task.mailbox());
      try {
        count(task.prompt(), batch.admit(task.prompt(), events, System.nanoTime(), outcome -> finish(admitted, outcome)));
      } catch (RuntimeException e) {
        if (e instanceof CudaException && !(e instanceof OutOfDeviceMemoryException)) {
          throw e; // ends this one together with all others
        }
        finish(task, new Batch.Outcome(null, e));
      }
      if (othersWait && !task.prompt().images().isEmpty()) {
        return;
      }
    }
  }

  /** The next one to admit; null when there is none, or it has to wait. */
  private synchronized Task next() {
    waiting.stream().filter(t -> t.generation().cancelled() || t.generation().late()).findFirst().ifPresent(gone -> {
      waiting.remove(gone);
      waiting.addFirst(gone); // it needs no room
    });
    if (waiting.isEmpty()) {
      return null;
    }
    Task first = waiting.getFirst();
    boolean gone = first.generation().cancelled() || first.generation().late();
    if (!gone && !batch.admits(first.prompt())) {
      return null;
    }
    return waiting.removeFirst();
  }

  private void finish(Task task, Batch.Outcome outcome) {
    report(); // before anybody hears of the end
    boolean late = outcome.failure() == null && outcome.result().finishReason().equals("cancelled") && task.generation().late();
    task.mailbox().end(!late ? outcome : new Batch.Outcome(null,
        new EngineException.DeadlineExceeded("no answer within " + task.generation().timeout().toMillis() + " ms")));
  }

  /** The result of a request that was cancelled while it waited. */
  private GenerationResult nothing(PreparedPrompt prompt) {
    int[] ids = prompt.rules().nothing(prompt.options().genLength());
    float[] unwritten = new float[ids.length];
    Arrays.fill(unwritten, Float.NaN);
    return new GenerationResult("", ids, "cancelled", prompt.plan().length(), prompt.plan().imageTokens(), 0,
        GenerationResult.Counts.NONE, new GenerationResult.Timings(model.loadMillis(), 0, 0, 0), unwritten, List.of());
  }

  private synchronized void count(PreparedPrompt prompt, int known) {
    stats = stats.admitted(prompt.plan().length(), known);
  }

  private synchronized void report() {
    stats = stats.now(batch.running(), batch.cacheRowsUsed(), batch.forwards());
  }

  private void endAll() {
    List<Task> rest;
    EngineException cause;
    synchronized (this) {
      cause = failure != null ? failed() : new EngineException.Closed("the engine was closed", null);
      closed = true;
      waiting.clear();
      rest = List.copyOf(open);
      stats = stats.now(0, 0, stats.forwards());
    }
    rest.forEach(task -> task.mailbox().abort(cause));
  }

  /** What ended the engine: null unless its device failed. */
  public synchronized Throwable failure() {
    return failure;
  }

  /** What the engine does and has done. */
  public synchronized EngineStats stats() {
    return stats.waiting(waiting.size());
  }

  /**
   * Takes no more requests and waits until those that were taken are answered.
   *
   * @return whether they are; false when the time was over before, or the thread was interrupted
   */
  public synchronized boolean drain(Duration timeout) {
    draining = true;
    long end = System.nanoTime() + timeout.toNanos();
    while (!open.isEmpty()) {
      long left = (end - System.nanoTime() + 999_999) / 1_000_000;
      if (left <= 0) {
        return false;
      }
      try {
        wait(left);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return false;
      }
    }
    return true;
  }

  /**
   * Ends what is running and waiting with {@link EngineException.Closed}, interrupts listeners that are still busy, and frees the engine's
   * memory. Idempotent. To let the work end first see {@link #drain}.
   */
  @Override
  public void close() {
    synchronized (this) {
      closed = true;
      notifyAll();
    }
    boolean interrupted = false;
    while (worker.isAlive()) {
      try {
        worker.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
