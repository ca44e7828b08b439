// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

import java.util.Arrays;

/** The header of a VP8 key frame (RFC 6386, 9), up to the modes of the first macroblock. */
final class FrameHeader {
  private static final int FIXED_BYTES = 10;
  private static final int SEGMENTS = 4;

  final int width;
  final int height;
  /** Continues with the macroblocks' modes. */
  final BoolReader modes;
  /** Coefficients: row y of macroblocks is in partition y modulo their number. */
  final BoolReader[] partitions;

  final int[] coefficients = Tables.COEFFICIENTS.clone();
  final int[] segmentProbabilities = {255, 255, 255};
  boolean segmentMap;
  /** Probability in 256 that a macroblock has coefficients, or −1: all may have. */
  final int skipProbability;
  final boolean simpleFilter;

  private boolean segmented;
  private boolean absolute;
  private final int[] segmentQuantizers = new int[SEGMENTS];
  private final int[] segmentLevels = new int[SEGMENTS];
  private final int filterLevel;
  private final int sharpness;
  private int intraLevelDelta;
  private int subblockLevelDelta;
  private final int quantizer;
  private final int[] quantizerDeltas = new int[5];

  /** The frame in {@code data[begin, end)}; {@code sizeCheck} hears its size before anything is read or allocated for it. */
  FrameHeader(byte[] data, int begin, int end, WebpFile.SizeCheck sizeCheck) {
    if (end - begin < FIXED_BYTES) {
      throw new IllegalArgumentException("ends within its header");
    }
    int tag = byteAt(data, begin) | byteAt(data, begin + 1) << 8 | byteAt(data, begin + 2) << 16;
    boolean keyFrame = (tag & 1) == 0;
    boolean startCode = byteAt(data, begin + 3) == 0x9D && byteAt(data, begin + 4) == 0x01 && byteAt(data, begin + 5) == 0x2A;
    if (!keyFrame || !startCode) {
      throw new IllegalArgumentException("no VP8 key frame");
    }
    width = (byteAt(data, begin + 6) | byteAt(data, begin + 7) << 8) & 0x3FFF;
    height = (byteAt(data, begin + 8) | byteAt(data, begin + 9) << 8) & 0x3FFF;
    sizeCheck.check(width, height);
    int first = begin + FIXED_BYTES;
    int rest = first + (tag >> 5);
    if (rest > end) {
      throw new IllegalArgumentException("ends within its modes");
    }
    modes = new BoolReader(data, first, rest);
    modes.number(2); // colour space, clamping
    readSegments();
    simpleFilter = modes.flag();
    filterLevel = modes.number(6);
    sharpness = modes.number(3);
    readLevelDeltas();
    partitions = partitions(data, rest, end, 1 << modes.number(2));
    quantizer = modes.number(7);
    for (int i = 0; i < quantizerDeltas.length; i++) {
      quantizerDeltas[i] = modes.optionalSigned(4);
    }
    modes.flag(); // whether probabilities last beyond this frame
    for (int i = 0; i < coefficients.length; i++) {
      if (modes.bit(Tables.COEFFICIENT_UPDATES[i]) != 0) {
        coefficients[i] = modes.number(8);
      }
    }
    skipProbability = modes.flag() ? modes.number(8) : -1;
  }

  private static int byteAt(byte[] data, int index) {
    return data[index] & 0xFF;
  }

  private void readSegments() {
    segmented = modes.flag();
    if (!segmented) {
      return;
    }
    segmentMap = modes.flag();
    if (modes.flag()) {
      absolute = modes.flag();
      Arrays.setAll(segmentQuantizers, _ -> modes.optionalSigned(7));
      Arrays.setAll(segmentLevels, _ -> modes.optionalSigned(6));
    }
    if (segmentMap) {
      Arrays.setAll(segmentProbabilities, _ -> modes.flag() ? modes.number(8) : 255);
    }
  }

  /** Only two of the deltas matter in a key frame: that of intra prediction, and that of prediction by subblocks. */
  private void readLevelDeltas() {
    if (modes.flag() && modes.flag()) {
      int[] deltas = new int[8];
      Arrays.setAll(deltas, _ -> modes.optionalSigned(6));
      intraLevelDelta = deltas[0];
      subblockLevelDelta = deltas[4];
    }
  }

  private static BoolReader[] partitions(byte[] data, int begin, int end, int count) {
    BoolReader[] partitions = new BoolReader[count];
    int at = begin + 3 * (count - 1);
    if (at > end) {
      throw new IllegalArgumentException("ends within its partition sizes");
    }
    for (int i = 0; i < count; i++) {
      int size = end - at;
      if (i < count - 1) {
        int entry = begin + 3 * i;
        size = Math.min(size, byteAt(data, entry) | byteAt(data, entry + 1) << 8 | byteAt(data, entry + 2) << 16);
      }
      partitions[i] = new BoolReader(data, at, at + size);
      at += size;
    }
    return partitions;
  }

  /** Steps of a segment: luma DC and AC, second-order luma DC and AC, chroma DC and AC. */
  int[] steps(int segment) {
    int q = quantizer;
    if (segmented) {
      q = absolute ? segmentQuantizers[segment] : q + segmentQuantizers[segment];
    }
    int[] d = quantizerDeltas;
    return new int[] {
      Tables.DC_STEPS[clamp(q + d[0], 127)], Tables.AC_STEPS[clamp(q, 127)],
      2 * Tables.DC_STEPS[clamp(q + d[1], 127)], Math.max(8, Tables.AC_STEPS[clamp(q + d[2], 127)] * 155 / 100),
      Tables.DC_STEPS[clamp(q + d[3], 117)], Tables.AC_STEPS[clamp(q + d[4], 127)]
    };
  }

  /** Strength of the loop filter; 0 switches it off. */
  int filterLevel(int segment, boolean subblocks) {
    int level = filterLevel;
    if (level == 0) {
      return 0; // switches the filter off as a whole, whatever the segments say
    }
    if (segmented) {
      level = absolute ? segmentLevels[segment] : level + segmentLevels[segment];
    }
    return clamp(level + intraLevelDelta + (subblocks ? subblockLevelDelta : 0), 63);
  }

  /** How much neighbours within a block may differ to be filtered. */
  int interiorLimit(int level) {
    int limit = level;
    if (sharpness > 0) {
      limit = Math.min(limit >> (sharpness > 4 ? 2 : 1), 9 - sharpness);
    }
    return Math.max(1, limit);
  }

  private static int clamp(int value, int max) {
    return Math.clamp(value, 0, max);
  }
}
