// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

import java.util.Arrays;

/** Predicts blocks from the pixels above and on their left (RFC 6386, 12). */
final class Prediction {
  static final int DC = 0;
  static final int TRUE_MOTION = 1;
  static final int VERTICAL = 2;
  static final int HORIZONTAL = 3;
  static final int RIGHT_DOWN = 4;
  static final int VERTICAL_RIGHT = 5;
  static final int LEFT_DOWN = 6;
  static final int VERTICAL_LEFT = 7;
  static final int HORIZONTAL_DOWN = 8;
  static final int HORIZONTAL_UP = 9;

  private Prediction() {}

  /** A whole block of 16 or 8 pixels; which edges lie inside the frame matters to the mean alone. */
  static void block(Plane plane, int x, int y, int size, int mode) {
    int at = plane.at(x, y);
    byte[] p = plane.pixels;
    int stride = plane.stride;
    switch (mode) {
      case DC -> {
        byte mean = (byte) mean(plane, at, size, x > 0, y > 0);
        for (int r = 0; r < size; r++) {
          Arrays.fill(p, at + r * stride, at + r * stride + size, mean);
        }
      }
      case TRUE_MOTION -> trueMotion(plane, at, size);
      case VERTICAL -> {
        for (int r = 0; r < size; r++) {
          System.arraycopy(p, at - stride, p, at + r * stride, size);
        }
      }
      default -> {
        for (int r = 0; r < size; r++) {
          Arrays.fill(p, at + r * stride, at + r * stride + size, p[at + r * stride - 1]);
        }
      }
    }
  }

  private static int mean(Plane plane, int at, int size, boolean left, boolean above) {
    if (!left && !above) {
      return 128;
    }
    int sum = 0;
    for (int i = 0; i < size; i++) {
      sum += above ? plane.pixels[at - plane.stride + i] & 0xFF : 0;
      sum += left ? plane.pixels[at + i * plane.stride - 1] & 0xFF : 0;
    }
    int count = left && above ? 2 * size : size;
    return (sum + count / 2) / count;
  }

  private static void trueMotion(Plane plane, int at, int size) {
    byte[] p = plane.pixels;
    int corner = p[at - plane.stride - 1] & 0xFF;
    for (int r = 0; r < size; r++) {
      int row = at + r * plane.stride;
      int left = (p[row - 1] & 0xFF) - corner;
      for (int c = 0; c < size; c++) {
        p[row + c] = (byte) Math.clamp(left + (p[at - plane.stride + c] & 0xFF), 0, 255);
      }
    }
  }

  /**
   * A subblock of 4 x 4 pixels.
   *
   * @param at index of its first pixel
   * @param aboveRight index of the four pixels that count as those above and to the right
   * @param e 13 numbers of working space
   */
  static void subblock(Plane plane, int at, int aboveRight, int mode, int[] e) {
    byte[] p = plane.pixels;
    int stride = plane.stride;
    // the edge from the bottom left over the corner, which is e[4], to the right
    for (int i = 0; i < 4; i++) {
      e[3 - i] = p[at + i * stride - 1] & 0xFF;
      e[5 + i] = p[at - stride + i] & 0xFF;
      e[9 + i] = p[aboveRight + i] & 0xFF;
    }
    e[4] = p[at - stride - 1] & 0xFF;
    int mean = 4;
    for (int i = 0; i < 4; i++) {
      mean += e[i] + e[5 + i];
    }
    for (int r = 0; r < 4; r++) {
      for (int c = 0; c < 4; c++) {
        p[at + r * stride + c] = (byte) switch (mode) {
          case DC -> mean >> 3;
          case TRUE_MOTION -> Math.clamp(e[3 - r] + e[5 + c] - e[4], 0, 255);
          case VERTICAL -> smooth(e, 5 + c);
          case HORIZONTAL -> r == 3 ? average(e[1], e[0], e[0]) : smooth(e, 3 - r);
          case RIGHT_DOWN -> smooth(e, 4 + c - r);
          case VERTICAL_RIGHT -> verticalRight(e, 2 * c - r, c - (r >> 1));
          case LEFT_DOWN -> r + c == 6 ? average(e[11], e[12], e[12]) : smooth(e, 6 + r + c);
          case VERTICAL_LEFT -> verticalLeft(e, r, c);
          case HORIZONTAL_DOWN -> horizontalDown(e, 2 * r - c, r - (c >> 1));
          default -> horizontalUp(e, c + 2 * r);
        };
      }
    }
  }

  private static int verticalRight(int[] e, int z, int k) {
    if (z < 0) {
      return smooth(e, 5 + z);
    }
    return (z & 1) == 0 ? average(e[4 + k], e[5 + k]) : smooth(e, 4 + k);
  }

  private static int horizontalDown(int[] e, int z, int k) {
    if (z < 0) {
      return smooth(e, 3 - z);
    }
    return (z & 1) == 0 ? average(e[4 - k], e[3 - k]) : smooth(e, 4 - k);
  }

  private static int verticalLeft(int[] e, int r, int c) {
    int i = 5 + c + (r >> 1);
    if (c == 3 && r >= 2) {
      return smooth(e, r == 2 ? 10 : 11);
    }
    return (r & 1) == 0 ? average(e[i], e[i + 1]) : smooth(e, i + 1);
  }

  private static int horizontalUp(int[] e, int z) {
    if (z > 5) {
      return e[0];
    }
    if (z == 5) {
      return average(e[1], e[0], e[0]);
    }
    int i = 3 - (z >> 1);
    return (z & 1) == 0 ? average(e[i], e[i - 1]) : smooth(e, i - 1);
  }

  /** The middle of three neighbours on the edge counts twice. */
  private static int smooth(int[] e, int middle) {
    return average(e[middle - 1], e[middle], e[middle + 1]);
  }

  private static int average(int a, int b, int c) {
    return a + 2 * b + c + 2 >> 2;
  }

  private static int average(int a, int b) {
    return a + b + 1 >> 1;
  }
}
