// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * Bicubic resizing with the same bytes as Pillow's (spec 4.1), since the model was trained on those: separable,
 * antialiased when shrinking, weights in fixed point, rounded to bytes between the horizontal and the vertical pass.
 */
public final class BicubicResize {
  private static final int PRECISION_BITS = 22;
  private static final int CHANNELS = 3;
  private static final double SUPPORT = 2;
  private static final double A = -0.5;

  private BicubicResize() {}

  /** A dimension that stays as it is costs nothing and changes nothing. */
  public static RgbImage resize(RgbImage image, int width, int height) {
    RgbImage narrowed = image.width() == width ? image : horizontally(image, width);
    return narrowed.height() == height ? narrowed : vertically(narrowed, height);
  }

  private static RgbImage horizontally(RgbImage in, int width) {
    Taps[] taps = taps(in.width(), width);
    byte[] from = in.rgb();
    byte[] to = new byte[Math.multiplyExact(Math.multiplyExact(CHANNELS, width), in.height())];
    for (int y = 0, o = 0; y < in.height(); y++) {
      int row = CHANNELS * in.width() * y;
      for (Taps t : taps) {
        for (int c = 0; c < CHANNELS; c++) {
          to[o++] = weighted(from, row + CHANNELS * t.first + c, CHANNELS, t.weights);
        }
      }
    }
    return new RgbImage(width, in.height(), to);
  }

  private static RgbImage vertically(RgbImage in, int height) {
    Taps[] taps = taps(in.height(), height);
    int stride = CHANNELS * in.width();
    byte[] to = new byte[Math.multiplyExact(stride, height)];
    for (int y = 0, o = 0; y < height; y++) {
      for (int x = 0; x < stride; x++) {
        to[o++] = weighted(in.rgb(), taps[y].first * stride + x, stride, taps[y].weights);
      }
    }
    return new RgbImage(in.width(), height, to);
  }

  private static byte weighted(byte[] samples, int start, int step, int[] weights) {
    int sum = 1 << PRECISION_BITS - 1;
    for (int i = 0, at = start; i < weights.length; i++, at += step) {
      sum += (samples[at] & 0xFF) * weights[i];
    }
    return (byte) Math.clamp(sum >> PRECISION_BITS, 0, 255);
  }

  /** The input samples of one output sample: from `first` on, one for each weight. */
  private record Taps(int first, int[] weights) {}

  private static Taps[] taps(int in, int out) {
    double scale = (double) in / out;
    double filterScale = Math.max(scale, 1);
    double support = SUPPORT * filterScale;
    double inverse = 1 / filterScale;
    Taps[] all = new Taps[out];
    for (int i = 0; i < out; i++) {
      double centre = (i + 0.5) * scale;
      int first = Math.max(0, (int) (centre - support + 0.5));
      int end = Math.min(in, (int) (centre + support + 0.5));
      double[] weights = new double[end - first];
      double sum = 0;
      for (int k = 0; k < weights.length; k++) {
        weights[k] = bicubic((k + first - centre + 0.5) * inverse);
        sum += weights[k];
      }
      all[i] = new Taps(first, fixedPoint(weights, sum));
    }
    return all;
  }

  private static int[] fixedPoint(double[] weights, double sum) {
    int[] fixed = new int[weights.length];
    for (int k = 0; k < fixed.length; k++) {
      double scaled = (sum == 0 ? weights[k] : weights[k] / sum) * (1 << PRECISION_BITS);
      // half away from zero: the cast cuts towards it
      fixed[k] = (int) (scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
    return fixed;
  }

  private static double bicubic(double signed) {
    double x = Math.abs(signed);
    if (x < 1) {
      return ((A + 2) * x - (A + 3)) * x * x + 1;
    }
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * A : 0;
  }
}
