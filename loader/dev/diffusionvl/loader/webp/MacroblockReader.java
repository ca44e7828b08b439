// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

import java.util.Arrays;

/** Reads macroblocks in raster order: their modes (RFC 6386, 11) and coefficients (13). */
final class MacroblockReader {
  private static final int[] ZIGZAG = {0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15};
  private static final int[] BANDS = {0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7};
  /** Extra bits of the large coefficients' categories 3 to 6. */
  private static final int[][] CATEGORIES = {
    {173, 148, 140}, {176, 155, 140, 135}, {180, 157, 141, 134, 130}, {254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129}
  };
  private static final int AFTER_SECOND_ORDER = 0;
  private static final int SECOND_ORDER = 1;
  private static final int CHROMA = 2;
  private static final int LUMA = 3;

  private final FrameHeader header;
  private final int[][] steps = new int[4][];
  private final int[] modesAbove;
  private final int[] modesLeft = new int[4];
  // whether the neighbouring subblocks have coefficients: 4 luma, 2 U, 2 V and 1 second-order a macroblock
  private final int[] above;
  private final int[] left = new int[9];
  private final int[] secondOrder = new int[16];

  MacroblockReader(FrameHeader header, int columns) {
    this.header = header;
    modesAbove = new int[4 * columns];
    above = new int[9 * columns];
    Arrays.setAll(steps, header::steps);
  }

  void startRow() {
    Arrays.fill(modesLeft, Prediction.DC);
    Arrays.fill(left, 0);
  }

  void read(int column, int row, Macroblock block) {
    readModes(column, block);
    Arrays.fill(block.coefficients, 0);
    block.hasCoefficients = false;
    if (block.skipped) {
      boolean secondOrderStays = block.lumaMode == Macroblock.SUBBLOCKS;
      Arrays.fill(left, 0, secondOrderStays ? 8 : 9, 0);
      Arrays.fill(above, 9 * column, 9 * column + (secondOrderStays ? 8 : 9), 0);
    } else {
      readCoefficients(header.partitions[row & header.partitions.length - 1], 9 * column, block);
    }
  }

  private void readModes(int column, Macroblock block) {
    BoolReader in = header.modes;
    block.segment = 0;
    if (header.segmentMap) {
      int[] p = header.segmentProbabilities;
      block.segment = in.bit(p[0]) == 0 ? in.bit(p[1]) : 2 + in.bit(p[2]);
    }
    block.skipped = header.skipProbability >= 0 && in.bit(header.skipProbability) != 0;
    if (in.bit(145) == 0) {
      block.lumaMode = Macroblock.SUBBLOCKS;
      for (int y = 0; y < 4; y++) {
        for (int x = 0; x < 4; x++) {
          int mode = subblockMode(in, 9 * (10 * modesAbove[4 * column + x] + modesLeft[y]));
          modesAbove[4 * column + x] = mode;
          modesLeft[y] = mode;
          block.subblockModes[4 * y + x] = mode;
        }
      }
    } else {
      if (in.bit(156) == 0) {
        block.lumaMode = in.bit(163) == 0 ? Prediction.DC : Prediction.VERTICAL;
      } else {
        block.lumaMode = in.bit(128) == 0 ? Prediction.HORIZONTAL : Prediction.TRUE_MOTION;
      }
      Arrays.fill(modesAbove, 4 * column, 4 * column + 4, block.lumaMode);
      Arrays.fill(modesLeft, block.lumaMode);
    }
    if (in.bit(142) == 0) {
      block.chromaMode = Prediction.DC;
    } else if (in.bit(114) == 0) {
      block.chromaMode = Prediction.VERTICAL;
    } else {
      block.chromaMode = in.bit(183) == 0 ? Prediction.HORIZONTAL : Prediction.TRUE_MOTION;
    }
  }

  private static int subblockMode(BoolReader in, int p) {
    int[] probability = Tables.SUBBLOCK_MODES;
    if (in.bit(probability[p]) == 0) {
      return Prediction.DC;
    }
    if (in.bit(probability[p + 1]) == 0) {
      return Prediction.TRUE_MOTION;
    }
    if (in.bit(probability[p + 2]) == 0) {
      return Prediction.VERTICAL;
    }
    if (in.bit(probability[p + 3]) == 0) {
      if (in.bit(probability[p + 4]) == 0) {
        return Prediction.HORIZONTAL;
      }
      return in.bit(probability[p + 5]) == 0 ? Prediction.RIGHT_DOWN : Prediction.VERTICAL_RIGHT;
    }
    if (in.bit(probability[p + 6]) == 0) {
      return Prediction.LEFT_DOWN;
    }
    if (in.bit(probability[p + 7]) == 0) {
      return Prediction.VERTICAL_LEFT;
    }
    return in.bit(probability[p + 8]) == 0 ? Prediction.HORIZONTAL_DOWN : Prediction.HORIZONTAL_UP;
  }

  private void readCoefficients(BoolReader in, int top, Macroblock block) {
    int[] step = steps[block.segment];
    int[] out = block.coefficients;
    int first = 0;
    int type = LUMA;
    if (block.lumaMode != Macroblock.SUBBLOCKS) {
      Arrays.fill(secondOrder, 0);
      int end = read(in, SECOND_ORDER, above[top + 8] + left[8], 0, step[2], step[3], secondOrder, 0);
      above[top + 8] = left[8] = end > 0 ? 1 : 0;
      block.hasCoefficients = end > 0;
      Transforms.walshHadamard(secondOrder, out);
      first = 1;
      type = AFTER_SECOND_ORDER;
    }
    for (int i = 0; i < 16; i++) {
      int x = top + (i & 3);
      int y = i >> 2;
      int end = read(in, type, above[x] + left[y], first, step[0], step[1], out, 16 * i);
      above[x] = left[y] = end > first ? 1 : 0;
      block.hasCoefficients |= end > first;
    }
    for (int i = 16; i < 24; i++) {
      int plane = 4 + (i - 16) / 4 * 2;
      int x = top + plane + (i & 1);
      int y = plane + (i >> 1 & 1);
      int end = read(in, CHROMA, above[x] + left[y], 0, step[4], step[5], out, 16 * i);
      above[x] = left[y] = end > 0 ? 1 : 0;
      block.hasCoefficients |= end > 0;
    }
  }

  /** Reads one subblock's coefficients from index {@code first} on; returns the index behind the last one. */
  private int read(BoolReader in, int type, int context, int first, int dc, int ac, int[] out, int at) {
    int[] probability = header.coefficients;
    int p = index(type, first, context);
    int n = first;
    while (n < 16) {
      if (in.bit(probability[p]) == 0) {
        return n;
      }
      while (in.bit(probability[p + 1]) == 0) {
        if (++n == 16) {
          return 16;
        }
        p = index(type, n, 0);
      }
      int value = 1;
      int next = 1;
      if (in.bit(probability[p + 2]) != 0) {
        value = large(in, probability, p);
        next = 2;
      }
      int signed = in.flag() ? -value : value;
      out[at + ZIGZAG[n]] = signed * (n == 0 ? dc : ac);
      if (++n < 16) {
        p = index(type, n, next);
      }
    }
    return 16;
  }

  private static int index(int type, int n, int context) {
    return 11 * (context + 3 * (BANDS[n] + 8 * type));
  }

  private static int large(BoolReader in, int[] probability, int p) {
    if (in.bit(probability[p + 3]) == 0) {
      return in.bit(probability[p + 4]) == 0 ? 2 : 3 + in.bit(probability[p + 5]);
    }
    if (in.bit(probability[p + 6]) == 0) {
      if (in.bit(probability[p + 7]) == 0) {
        return 5 + in.bit(159);
      }
      int high = in.bit(165);
      return 7 + 2 * high + in.bit(145);
    }
    int high = in.bit(probability[p + 8]);
    int category = 2 * high + in.bit(probability[p + 9 + high]);
    int extra = 0;
    for (int bit : CATEGORIES[category]) {
      extra = 2 * extra + in.bit(bit);
    }
    return 3 + (8 << category) + extra;
  }
}
