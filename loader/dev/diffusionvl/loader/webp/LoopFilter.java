// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

/** Smooths the edges of blocks and subblocks (RFC 6386, 15). */
final class LoopFilter {
  private final byte[] p;
  private final int stride;

  LoopFilter(Plane plane) {
    p = plane.pixels;
    stride = plane.stride;
  }

  /** Simple filter along an edge of 16 pixels whose first one on the far side is {@code at}. */
  void simple(int at, boolean vertical, int limit) {
    int across = vertical ? 1 : stride;
    int along = vertical ? stride : 1;
    for (int i = 0; i < 16; i++) {
      int o = at + i * along;
      if (flatEnough(o, across, 2 * limit + 1)) {
        adjustTwo(o, across);
      }
    }
  }

  /**
   * Normal filter along an edge.
   *
   * @param size length of the edge
   * @param outer between macroblocks, not within one
   */
  void normal(int at, boolean vertical, int size, boolean outer, int limit, int interior, int threshold) {
    int across = vertical ? 1 : stride;
    int along = vertical ? stride : 1;
    for (int i = 0; i < size; i++) {
      int o = at + i * along;
      if (!flatEnough(o, across, 2 * limit + 1) || !flatInside(o, across, interior)) {
        continue;
      }
      if (difference(o - 2 * across, o - across) > threshold || difference(o + across, o) > threshold) {
        adjustTwo(o, across);
      } else if (outer) {
        adjustSix(o, across);
      } else {
        adjustFour(o, across);
      }
    }
  }

  private int get(int index) {
    return p[index] & 0xFF;
  }

  private int difference(int a, int b) {
    return Math.abs(get(a) - get(b));
  }

  private boolean flatEnough(int o, int across, int limit) {
    return 4 * difference(o - across, o) + difference(o - 2 * across, o + across) <= limit;
  }

  private boolean flatInside(int o, int across, int limit) {
    return difference(o - 4 * across, o - 3 * across) <= limit && difference(o - 3 * across, o - 2 * across) <= limit
        && difference(o - 2 * across, o - across) <= limit && difference(o + 3 * across, o + 2 * across) <= limit
        && difference(o + 2 * across, o + across) <= limit && difference(o + across, o) <= limit;
  }

  private void adjustTwo(int o, int across) {
    int a = 3 * (get(o) - get(o - across)) + signed(get(o - 2 * across) - get(o + across));
    change(o - across, small(a + 3 >> 3));
    change(o, -small(a + 4 >> 3));
  }

  private void adjustFour(int o, int across) {
    int a = 3 * (get(o) - get(o - across));
    int far = small(a + 4 >> 3);
    int near = small(a + 3 >> 3);
    int outer = far + 1 >> 1;
    change(o - 2 * across, outer);
    change(o - across, near);
    change(o, -far);
    change(o + across, -outer);
  }

  private void adjustSix(int o, int across) {
    int a = signed(3 * (get(o) - get(o - across)) + signed(get(o - 2 * across) - get(o + across)));
    for (int i = 0; i < 3; i++) {
      int step = 9 * (3 - i) * a + 63 >> 7;
      change(o - (i + 1) * across, step);
      change(o + i * across, -step);
    }
  }

  private void change(int index, int by) {
    p[index] = (byte) Math.clamp(get(index) + by, 0, 255);
  }

  private static int signed(int value) {
    return Math.clamp(value, -128, 127);
  }

  private static int small(int value) {
    return Math.clamp(value, -16, 15);
  }
}
