// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import java.util.ArrayList;
import java.util.List;

/** Where the records of a file are: 12 bytes per record, in pieces that never move, so that growing needs no second copy. */
final class RecordIndex {
  private static final int PIECE = 1 << 16;

  private final List<long[]> starts = new ArrayList<>();
  private final List<int[]> lengths = new ArrayList<>(); // negative: no image
  private int size;

  /**
   * @param start first byte in the file
   * @param length in bytes, at least 1; anything beyond the range of int counts as the largest int
   * @param image whether the record seems to have one
   */
  void add(long start, long length, boolean image) {
    int at = size % PIECE;
    if (at == 0) {
      starts.add(new long[PIECE]);
      lengths.add(new int[PIECE]);
    }
    int bytes = (int) Math.min(length, Integer.MAX_VALUE);
    starts.getLast()[at] = start;
    lengths.getLast()[at] = image ? bytes : -bytes;
    size = Math.incrementExact(size);
  }

  int size() {
    return size;
  }

  long start(int record) {
    return starts.get(record / PIECE)[record % PIECE];
  }

  /** Bytes of the record's JSON text. */
  int length(int record) {
    return Math.abs(lengths.get(record / PIECE)[record % PIECE]);
  }

  boolean hasImage(int record) {
    return lengths.get(record / PIECE)[record % PIECE] > 0;
  }
}
