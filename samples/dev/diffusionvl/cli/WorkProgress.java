// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.quantize.Progress;
import java.io.PrintStream;
import java.util.function.BooleanSupplier;

/** What is being done and how far: on a terminal one line that is redrawn, elsewhere a line when something new begins. */
final class WorkProgress implements Progress {
  private static final long REDRAW_NANOS = 100_000_000L;

  private final PrintStream err;
  private final BooleanSupplier stop;
  private final boolean terminal = Terminal.AT_STDERR;
  private String current = "";
  private long drawn;

  /** @param stop true ends the work */
  WorkProgress(PrintStream err, BooleanSupplier stop) {
    this.err = err;
    this.stop = stop;
  }

  @Override
  public boolean at(String what, int done, int total) {
    boolean fresh = !what.equals(current);
    long now = System.nanoTime();
    if (terminal && (fresh || done == total || now - drawn > REDRAW_NANOS)) {
      err.printf("\r%s: %d of %d%s", what, done, total, done == total ? System.lineSeparator() : "    ");
      err.flush();
      drawn = now;
    } else if (!terminal && fresh) {
      err.println("dvl: " + what);
    }
    current = done == total ? "" : what;
    return stop.getAsBoolean();
  }
}
