// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.model.LoadListener;
import java.io.PrintStream;
import java.util.Locale;

/** A bar on a terminal while weights load: part, bytes, rate. Shown only for loads long enough to wonder about. */
final class LoadBar implements LoadListener {
  private static final long SILENCE_NANOS = 400_000_000L;
  private static final long REDRAW_NANOS = 100_000_000L;
  private static final int WIDTH = 30;

  private final PrintStream err;
  private final long start = System.nanoTime();
  private long drawn = start + SILENCE_NANOS - REDRAW_NANOS;
  private boolean shown;

  LoadBar(PrintStream err) {
    this.err = err;
  }

  /** A bar if the launcher script found a terminal at stderr, else nothing. */
  static LoadListener onTerminal() {
    return Terminal.AT_STDERR ? new LoadBar(System.err) : NONE;
  }

  @Override
  public void onProgress(long bytes, long total) {
    long now = System.nanoTime();
    boolean end = bytes == total;
    if (end ? shown : now - drawn >= REDRAW_NANOS) {
      drawn = now;
      shown = true;
      err.print('\r' + line(bytes, total, (now - start) / 1e9) + (end ? "\n" : ""));
      err.flush();
    }
  }

  static String line(long bytes, long total, double seconds) {
    int filled = total == 0 ? WIDTH : (int) (WIDTH * bytes / total);
    return String.format(Locale.ROOT, "weights [%s%s] %.2f of %.2f GB, %.2f GB/s", "#".repeat(filled), ".".repeat(WIDTH - filled),
        bytes / 1e9, total / 1e9, bytes / 1e9 / Math.max(seconds, 1e-9));
  }
}
