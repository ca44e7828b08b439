// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.Arrays;

/**
 * Bicubic resizing with the results of Pillow's (docs/model.md, "Image preprocessing: Qwen"): separable, horizontal before vertical,
 * antialiased when shrinking, weights in 22-bit fixed point, rounded to bytes after each pass.
 */
public final class BicubicResize {
  private static final double A = -0.5;
  private static final double SUPPORT = 2;
  private static final int PRECISION = 22;

  private BicubicResize() {}

  /**
   * @param width of the result, positive
   * @param height of the result, positive
   */
  public static RgbImage resize(RgbImage image, int width, int height) {
    RgbImage wide = image.width() == width ? image : horizontal(image, width);
    return wide.height() == height ? wide : vertical(wide, height);
  }

  private static RgbImage horizontal(RgbImage image, int width) {
    Weights weights = new Weights(image.width(), width);
    byte[] in = image.rgb();
    byte[] out = new byte[3 * width * image.height()];
    int target = 0;
    for (int y = 0; y < image.height(); y++) {
      int row = 3 * image.width() * y;
      for (int x = 0; x < width; x++) {
        int[] taps = weights.taps[x];
        int source = row + 3 * weights.first[x];
        int r = 1 << PRECISION - 1;
        int g = r;
        int b = r;
        for (int weight : taps) {
          r += weight * (in[source] & 0xff);
          g += weight * (in[source + 1] & 0xff);
          b += weight * (in[source + 2] & 0xff);
          source += 3;
        }
        out[target] = clip(r);
        out[target + 1] = clip(g);
        out[target + 2] = clip(b);
        target += 3;
      }
    }
    return new RgbImage(width, image.height(), out);
  }

  private static RgbImage vertical(RgbImage image, int height) {
    Weights weights = new Weights(image.height(), height);
    byte[] in = image.rgb();
    int stride = 3 * image.width();
    byte[] out = new byte[stride * height];
    int[] sums = new int[stride];
    for (int y = 0; y < height; y++) {
      Arrays.fill(sums, 1 << PRECISION - 1);
      int source = stride * weights.first[y];
      // a whole row at a time keeps the reads in order
      for (int weight : weights.taps[y]) {
        for (int i = 0; i < stride; i++) {
          sums[i] += weight * (in[source + i] & 0xff);
        }
        source += stride;
      }
      for (int i = 0; i < stride; i++) {
        out[stride * y + i] = clip(sums[i]);
      }
    }
    return new RgbImage(image.width(), height, out);
  }

  private static byte clip(int sum) {
    return (byte) Math.clamp(sum >> PRECISION, 0, 255);
  }

  /** Per output position: the first input position and the fixed-point weights from there on. */
  private static final class Weights {
    final int[] first;
    final int[][] taps;

    Weights(int in, int out) {
      first = new int[out];
      taps = new int[out][];
      double scale = (double) in / out;
      double stretch = Math.max(scale, 1);
      double support = SUPPORT * stretch;
      double shrink = 1 / stretch;
      for (int x = 0; x < out; x++) {
        double centre = (x + 0.5) * scale;
        int begin = Math.max((int) (centre - support + 0.5), 0);
        int end = Math.min((int) (centre + support + 0.5), in);
        double[] weights = new double[end - begin];
        double sum = 0;
        for (int i = 0; i < weights.length; i++) {
          weights[i] = kernel((i + begin - centre + 0.5) * shrink);
          sum += weights[i];
        }
        first[x] = begin;
        taps[x] = new int[weights.length];
        for (int i = 0; i < weights.length; i++) {
          double weight = sum == 0 ? weights[i] : weights[i] / sum;
          // halves away from zero
          taps[x][i] = (int) (weight * (1 << PRECISION) + (weight < 0 ? -0.5 : 0.5));
        }
      }
    }

    private static double kernel(double distance) {
      double x = Math.abs(distance);
      if (x < 1) {
        return ((A + 2) * x - (A + 3)) * x * x + 1;
      }
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * A : 0;
    }
  }
}
