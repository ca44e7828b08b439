// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

/**
 * How far a run has come in its data: all that is needed to go on there.
 *
 * @param seed of the order of the records
 * @param epoch passes over the data that are finished, which is the number of the present one from 0
 * @param place records of the present pass that have been taken, bad ones included
 */
public record DataPosition(long seed, int epoch, int place) {
  public DataPosition {
    if (epoch < 0 || place < 0) {
      throw new IllegalArgumentException("epoch " + epoch + ", place " + place + ": both must be at least 0");
    }
  }

  /** The beginning of the data. */
  public static DataPosition start(long seed) {
    return new DataPosition(seed, 0, 0);
  }
}
