// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import java.io.PrintStream;
import java.util.concurrent.CountDownLatch;

/**
 * Lets a long run end in good order when the process is asked to stop (Ctrl-C, SIGTERM): the request is noted, and the process ends when
 * this is closed. SIGKILL asks nobody.
 */
final class StopRequest implements AutoCloseable {
  private final CountDownLatch ended = new CountDownLatch(1);
  private final Thread hook;
  private volatile boolean made;

  /** @param what is said when the request comes */
  StopRequest(PrintStream err, String what) {
    hook = new Thread(() -> {
      made = true;
      err.println("dvl: " + what);
      try {
        ended.await();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }, "stop-request");
    Runtime.getRuntime().addShutdownHook(hook);
  }

  /** Whether the process has been asked to stop. */
  boolean isMade() {
    return made;
  }

  @Override
  public void close() {
    ended.countDown();
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // the process is ending: the hook runs already
    }
  }
}
