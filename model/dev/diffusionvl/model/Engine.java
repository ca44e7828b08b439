// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Answers many requests at once. Safe for use by several threads.
 *
 * <p>A generation that ends in an exception ends alone, unless the device failed.
 */
public final class Engine implements AutoCloseable {
  private final DiffusionVl model;
  private final EngineOptions options;
  private final Thread worker;
  private final List<Waiting> waiting = new ArrayList<>(); // guarded by this, like all below
  private boolean running;
  private boolean draining;
  private boolean closed;
  private EngineStats done;

  private record Waiting(Request request, GenerationOptions options, GenerationListener listener, EngineOptions.Service service,
      long deadline, Generation generation) {
    boolean late() {
      return service.timeout() != null && System.nanoTime() - deadline >= 0;
    }
  }

  Engine(DiffusionVl model, EngineOptions options) {
    this.model = model;
    this.options = options;
    done = new EngineStats(options.slots(), 0, 0, options.kvTokens(), 0, 0, 0, 0, 0, 0, 0, 0);
    worker = Thread.ofPlatform().name("diffusionvl-engine").daemon().start(this::work);
  }

  /** {@link #submit(Request, GenerationOptions, GenerationListener, EngineOptions.Service)} without a deadline. */
  public Generation submit(Request request, GenerationOptions options, GenerationListener listener) {
    return submit(request, options, listener, EngineOptions.Service.DEFAULTS);
  }

  /**
   * Puts a request into the queue. What is wrong with it is said here; checking it is work of the calling thread.
   *
   * @param listener hears of the progress on a thread of the engine's
   * @throws PromptLimitException when prompt or answer exceed the checkpoint's limits (not with compat, which cuts the prompt)
   * @throws dev.diffusionvl.loader.BadInputException when placeholders and images do not match, turns do not alternate, or an image has
   *     an impossible shape
   * @throws EngineException.QueueFull when as many requests wait as may
   * @throws EngineException.Closed when the engine takes no more requests
   */
  public Generation submit(Request request, GenerationOptions options, GenerationListener listener, EngineOptions.Service service) {
    int[] imageRows = VisionTower.imageRows(model.config(), request.images());
    PromptPlan.of(model.config(), model.tokenizer(), request, options, imageRows);
    long deadline = service.timeout() == null ? 0 : System.nanoTime() + service.timeout().toNanos();
    Generation generation = new Generation();
    synchronized (this) {
      if (closed || draining) {
        throw new EngineException.Closed("the engine takes no more requests", null);
      }
      if (waiting.size() >= this.options.queue() + (running ? 0 : 1)) {
        throw new EngineException.QueueFull(waiting.size());
      }
      waiting.add(new Waiting(request, options.withExecution(this.options.execution()), listener, service, deadline, generation));
      waiting.sort(Comparator.comparingInt(w -> -w.service().priority())); // stable
      notifyAll();
    }
    return generation;
  }

  private void work() {
    try (Session session = model.newSession(options.gemm(), options.overlap())) {
      for (Waiting next = next(); next != null; next = next()) {
        answer(session, next);
      }
    }
  }

  private synchronized Waiting next() {
    running = false;
    notifyAll();
    while (!closed && waiting.isEmpty()) {
      try {
        wait();
      } catch (InterruptedException e) {
        closed = true;
      }
    }
    if (closed) {
      waiting.forEach(w -> w.generation().fail(new EngineException.Closed("the engine was closed", null)));
      waiting.clear();
      return null;
    }
    running = true;
    return waiting.removeFirst();
  }

  private void answer(Session session, Waiting next) {
    try {
      GenerationResult result = session.generate(next.request(), next.options(), new Watched(next));
      if (isClosed()) {
        throw new EngineException.Closed("the engine was closed", null);
      }
      if (next.late()) {
        throw new EngineException.DeadlineExceeded("no answer within " + next.service().timeout());
      }
      count(result);
      next.generation().complete(result);
    } catch (Throwable failure) {
      synchronized (this) {
        done = with(done, 0, 0, 1, 0, 0, 0);
      }
      next.generation().fail(failure);
    }
  }

  private synchronized boolean isClosed() {
    return closed;
  }

  private synchronized void count(GenerationResult result) {
    boolean cancelled = result.finishReason().equals("cancelled");
    done = with(done, cancelled ? 0 : 1, cancelled ? 1 : 0, 0, result.promptTokens(), result.generatedTokens(),
        result.counts().forwards());
  }

  private static EngineStats with(EngineStats s, int finished, int cancelled, int failed, int prompt, int generated, int forwards) {
    return new EngineStats(s.slots(), 0, 0, s.kvTokens(), 0, s.finished() + finished, s.cancelled() + cancelled, s.failed() + failed,
        s.promptTokens() + prompt, s.generatedTokens() + generated, s.forwards() + forwards, s.prefixTokens());
  }

  /** What the engine does and has done. */
  public synchronized EngineStats stats() {
    return new EngineStats(done.slots(), running ? 1 : 0, waiting.size(), done.kvTokens(), 0, done.finished(), done.cancelled(),
        done.failed(), done.promptTokens(), done.generatedTokens(), done.forwards(), done.prefixTokens());
  }

  /**
   * Takes no more requests and waits until those that were taken are answered.
   *
   * @return whether they are; false when the time was over before
   */
  public synchronized boolean drain(Duration timeout) {
    draining = true;
    long end = System.nanoTime() + timeout.toNanos();
    while (running || !waiting.isEmpty()) {
      long left = (end - System.nanoTime()) / 1_000_000;
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

  /** Ends what is running and waiting with {@link EngineException.Closed} and frees the engine's memory. Idempotent. */
  @Override
  public void close() {
    synchronized (this) {
      closed = true;
      notifyAll();
    }
    boolean interrupted = false;
    while (true) {
      try {
        worker.join();
        break;
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** The listener of a request, which also ends it when its time is over or the engine is closed. */
  private final class Watched implements GenerationListener {
    private final Waiting request;

    Watched(Waiting request) {
      this.request = request;
    }

    @Override
    public boolean isCancelled() {
      return request.generation().cancelled() || request.late() || isClosed() || request.listener().isCancelled();
    }

    @Override
    public boolean isLive() {
      return request.listener().isLive();
    }

    @Override
    public void onProgress(Progress progress) {
      request.listener().onProgress(progress);
    }

    @Override
    public void onStep(int block, int step, List<Commit> committed) {
      request.listener().onStep(block, step, committed);
    }

    @Override
    public void onPreview(BlockPreview preview) {
      request.listener().onPreview(preview);
    }

    @Override
    public void onText(String text) {
      request.listener().onText(text);
    }
  }
}
