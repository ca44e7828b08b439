// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import java.util.ArrayDeque;
import java.util.List;
import java.util.Queue;

/**
 * Stands between an engine and the listener of one generation: what happens is passed on, in order, by a virtual thread. So a listener
 * that blocks delays nobody but itself, and one that throws ends its own generation. What waits is at most what one generation has to
 * tell.
 */
final class Mailbox implements GenerationListener {
  private final GenerationListener listener;
  private final Generation generation;
  private final boolean live;
  private final Queue<Runnable> letters = new ArrayDeque<>(); // guarded by this
  private Thread postman; // guarded by this; null while there is nothing to do
  private boolean asking; // guarded by this: a question whether to go on is under way
  private volatile boolean stopped; // the listener wants no more
  private volatile Throwable failure; // what it threw

  Mailbox(GenerationListener listener, Generation generation) {
    this.listener = listener;
    this.generation = generation;
    live = listener.isLive();
  }

  /** Ends the generation when all before it has been heard. */
  void end(Batch.Outcome outcome) {
    post(() -> {
      Throwable cause = failure != null ? failure : outcome.failure();
      if (cause != null) {
        generation.fail(cause);
      } else {
        generation.complete(outcome.result());
      }
    });
  }

  /** Ends the generation now, even if its listener is stuck. */
  void abort(Throwable cause) {
    Thread.startVirtualThread(() -> generation.fail(cause));
    synchronized (this) {
      letters.clear();
      if (postman != null) {
        postman.interrupt();
      }
    }
  }

  private synchronized void post(Runnable letter) {
    letters.add(letter);
    if (postman == null) {
      postman = Thread.startVirtualThread(this::deliver);
    }
  }

  private void deliver() {
    for (Runnable letter = next(); letter != null; letter = next()) {
      letter.run();
    }
  }

  private synchronized Runnable next() {
    Runnable letter = letters.poll();
    if (letter == null) {
      postman = null;
    }
    return letter;
  }

  /** Calls the listener later, unless it has thrown. */
  private void tell(Runnable call) {
    if (listener == NONE) {
      return;
    }
    post(() -> {
      if (failure == null) {
        try {
          call.run();
        } catch (Throwable thrown) {
          failure = thrown;
          stopped = true;
        }
      }
    });
  }

  /** The last answer that is known; the listener is asked anew meanwhile. */
  @Override
  public boolean isCancelled() {
    ask();
    return stopped || generation.cancelled() || generation.late();
  }

  private void ask() {
    synchronized (this) {
      if (asking || stopped) {
        return;
      }
      asking = true;
    }
    tell(() -> {
      stopped |= listener.isCancelled();
      synchronized (this) {
        asking = false;
      }
    });
  }

  @Override
  public boolean isLive() {
    return live;
  }

  @Override
  public void onProgress(Progress progress) {
    tell(() -> listener.onProgress(progress));
  }

  @Override
  public void onStep(int block, int step, List<Commit> committed) {
    tell(() -> listener.onStep(block, step, committed));
  }

  @Override
  public void onPreview(BlockPreview preview) {
    tell(() -> listener.onPreview(preview));
  }

  @Override
  public void onText(String text) {
    tell(() -> listener.onText(text));
  }
}
