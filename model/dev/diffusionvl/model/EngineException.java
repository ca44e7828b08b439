// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

/** An {@link Engine} did not serve a request, for a reason that is not in the request itself. */
public abstract sealed class EngineException extends RuntimeException {
  private EngineException(String message, Throwable cause) {
    super(message, cause);
  }

  /** As many requests wait as may; the same request may be taken later. */
  public static final class QueueFull extends EngineException {
    QueueFull(int queue) {
      super("the queue is full: " + queue + " requests wait", null);
    }
  }

  /** The request's time was over before its answer was finished. */
  public static final class DeadlineExceeded extends EngineException {
    DeadlineExceeded(String message) {
      super(message, null);
    }
  }

  /** The engine was closed, or is being drained, or its device failed. */
  public static final class Closed extends EngineException {
    /** @param cause what ended the engine, or null if it was closed */
    Closed(String message, Throwable cause) {
      super(message, cause);
    }
  }
}
