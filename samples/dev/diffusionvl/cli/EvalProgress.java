// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;

/** How far an evaluation is: on a terminal a bar that is redrawn, elsewhere a line each tenth. */
final class EvalProgress implements Consumer<ObjectNode> {
  private static final int WIDTH = 30;

  private final PrintStream err;
  private final int before;
  private final int total;
  private final long start = System.nanoTime();
  private int done;
  private double right;
  private int tenths;

  /** @param answered by earlier processes @param left questions that are to be asked */
  EvalProgress(PrintStream err, List<ObjectNode> answered, int left) {
    this.err = err;
    before = answered.size();
    done = before;
    total = before + left;
    answered.forEach(sample -> right += sample.path("score").asDouble());
    if (before > 0) {
      err.println("dvl: " + before + " of " + total + " were answered before");
    }
    tenths = tenth();
  }

  private int tenth() {
    return (int) (10L * done / total);
  }

  @Override
  public void accept(ObjectNode sample) {
    done++;
    right += sample.path("score").asDouble();
    if (Terminal.AT_STDERR) {
      err.print("\r" + line((System.nanoTime() - start) / 1e9) + (done == total ? System.lineSeparator() : "  "));
      err.flush();
    } else if (tenth() > tenths) {
      tenths = tenth();
      err.println("dvl: " + line((System.nanoTime() - start) / 1e9));
    }
  }

  String line(double seconds) {
    int filled = (int) ((long) WIDTH * done / total);
    double each = seconds / Math.max(1, done - before);
    return String.format(Locale.ROOT, "[%s%s] %d of %d, %.1f %% right, %.2f s each, %.0f min left", "#".repeat(filled),
        ".".repeat(WIDTH - filled), done, total, 100 * right / done, each, each * (total - done) / 60);
  }
}
