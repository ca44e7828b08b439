// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.OutputException;
import dev.diffusionvl.train.BadRecord;
import dev.diffusionvl.train.HeldOut;
import dev.diffusionvl.train.Trainer;
import dev.diffusionvl.train.TrainingListener;
import java.awt.AWTError;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.Locale;
import java.util.function.BooleanSupplier;

/**
 * Progress of a training run: on a terminal one line that is redrawn, elsewhere a line for every tenth step; and the loss as a picture,
 * {@code loss.svg} in the run's folder, drawn anew every ten seconds at most.
 */
final class TrainingProgress implements TrainingListener {
  private static final int WIDTH = 24;
  private static final long REDRAW_NANOS = 10_000_000_000L;
  private static final int REDRAW_SHARE = 20; // at most one part in so many of the time goes into pictures

  private final PrintStream err;
  private final Path folder;
  private final int total;
  private final BooleanSupplier stop;
  private final boolean terminal = Terminal.AT_STDERR;
  private final long start = System.nanoTime();
  private int firstStep;
  private long tokens;
  private long nextPicture = start;
  private boolean drawable = true;

  /**
   * @param folder of the run
   * @param stop true ends the run between steps
   */
  TrainingProgress(PrintStream err, Path folder, int total, BooleanSupplier stop) {
    this.err = err;
    this.folder = folder;
    this.total = total;
    this.stop = stop;
  }

  @Override
  public void remark(String line) {
    err.println("dvl: " + line);
  }

  @Override
  public void skipped(BadRecord record) {
    err.println((terminal ? "\r" : "") + "dvl: skipped " + record.line());
  }

  @Override
  public void score(int step, HeldOut.Score score) {
    err.println((terminal ? "\r" : "") + String.format(Locale.ROOT, "step %d: %d of %d held-out answers are right (%.1f %%)%s",
        step, score.right(), score.questions(), 100 * score.part(), terminal ? " ".repeat(80) : ""));
  }

  @Override
  public boolean isCancelled() {
    return stop.getAsBoolean();
  }

  @Override
  public void step(Trainer.Step step) {
    if (firstStep == 0) {
      firstStep = step.step();
    }
    tokens += step.tokens();
    double seconds = (System.nanoTime() - start) / 1e9;
    double left = seconds / (step.step() - firstStep + 1) * (total - step.step());
    boolean last = step.step() == total;
    if (terminal || last || step.step() % 10 == 0 || step.step() == firstStep) {
      int filled = (int) ((long) WIDTH * step.step() / total);
      err.print((terminal ? "\r" : "") + String.format(Locale.ROOT, "[%s%s] step %d of %d, loss %.4f, gradient norm %.3f, "
          + "%.0f tokens/s, %s left",
          "#".repeat(filled), ".".repeat(WIDTH - filled), step.step(), total, step.loss(), step.gradientNorm(),
          tokens / seconds, time(left))
          + (terminal && !last ? "" : System.lineSeparator()));
      err.flush();
    }
    draw();
  }

  /** The run has ended. */
  void finish() {
    nextPicture = System.nanoTime();
    draw();
  }

  /** A picture that cannot be drawn, on a machine without fonts for instance, stops no run. */
  private void draw() {
    long now = System.nanoTime();
    if (!drawable || now - nextPicture < 0) {
      return;
    }
    try {
      LossPicture.draw(folder.resolve("train.jsonl"), folder.resolve("loss.svg"));
    } catch (OutputException | BadInputException e) {
      throw e;
    } catch (RuntimeException | LinkageError | AWTError | InternalError e) {
      drawable = false;
      remark("no picture of the loss: " + e);
    }
    long end = System.nanoTime();
    nextPicture = end + Math.max(REDRAW_NANOS, REDRAW_SHARE * (end - now));
  }

  private static String time(double seconds) {
    long whole = Math.round(seconds);
    return whole >= 3600 ? String.format(Locale.ROOT, "%d h %02d min", whole / 3600, whole / 60 % 60)
        : String.format(Locale.ROOT, "%d min %02d s", whole / 60, whole % 60);
  }
}
