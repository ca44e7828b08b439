// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.measure;

import dev.diffusionvl.runtime.Event;
import dev.diffusionvl.runtime.Stream;

/** Device time by events. Variants are interleaved, so that whatever changes during a run changes for all of them. */
public final class Timer {
  private final Stream stream;

  public Timer(Stream stream) {
    this.stream = stream;
  }

  /**
   * Runs the variants in turn, {@code warm} rounds untimed and {@code rounds} rounds timed. All of it is queued before anything is waited
   * for, so that the device never waits for the host as long as a variant takes longer than its launch.
   *
   * @return microseconds of each variant
   */
  public Quantiles[] interleaved(int warm, int rounds, Runnable... variants) {
    for (int i = 0; i < warm; i++) {
      for (Runnable variant : variants) {
        variant.run();
      }
    }
    Event[] marks = new Event[rounds * variants.length + 1];
    try {
      for (int i = 0; i < marks.length; i++) {
        marks[i] = stream.device().newEvent(true);
      }
      marks[0].record(stream);
      for (int i = 1; i < marks.length; i++) {
        variants[(i - 1) % variants.length].run();
        marks[i].record(stream);
      }
      stream.synchronize();
      Quantiles[] result = new Quantiles[variants.length];
      for (int v = 0; v < variants.length; v++) {
        double[] micros = new double[rounds];
        for (int i = 0; i < rounds; i++) {
          int at = i * variants.length + v;
          micros[i] = 1000.0 * marks[at + 1].millisSince(marks[at]);
        }
        result[v] = Quantiles.of(micros);
      }
      return result;
    } finally {
      for (Event mark : marks) {
        if (mark != null) {
          mark.close();
        }
      }
    }
  }
}
