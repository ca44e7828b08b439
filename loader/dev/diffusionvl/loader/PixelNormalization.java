// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/** What a byte of a channel becomes: scaled to [0, 1], then less the mean, by the deviation. */
final class PixelNormalization {
  private final float[][] values;

  /** Means and deviations per channel. */
  PixelNormalization(float[] mean, float[] std) {
    values = new float[mean.length][256];
    for (int c = 0; c < values.length; c++) {
      for (int value = 0; value < 256; value++) {
        // rescaled in double, then all in float, as the reference does
        values[c][value] = ((float) (value * (1 / 255.0)) - mean[c]) / std[c];
      }
    }
  }

  float of(int channel, byte value) {
    return values[channel][value & 0xFF];
  }
}
