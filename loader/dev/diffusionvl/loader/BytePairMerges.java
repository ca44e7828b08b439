// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.Arrays;
import java.util.PriorityQueue;

/**
 * The merge table of a byte-pair encoding and the merging itself: of all neighbouring pairs the one of lowest rank is
 * joined, the leftmost first, until none is in the table. O(n log n) in the length of a piece.
 */
final class BytePairMerges {
  private static final long EMPTY = -1;
  /** Pieces up to this length are merged by scanning, which beats a queue on them. */
  private static final int SCAN_LIMIT = 24;

  // open addressing, keyed by left id << 32 | right id; values: rank and the id of the joined token
  private final long[] keys;
  private final int[] ranks;
  private final int[] joined;

  /**
   * @param capacity number of {@link #put} calls to come
   */
  BytePairMerges(int capacity) {
    int size = Integer.highestOneBit(Math.max(8, capacity)) << 2;
    keys = new long[size];
    Arrays.fill(keys, EMPTY);
    ranks = new int[size];
    joined = new int[size];
  }

  /** Adds a pair; a pair given twice keeps its later rank, as in the reference. */
  void put(int left, int right, int rank, int joinedId) {
    int slot = slot(left, right);
    keys[slot] = key(left, right);
    ranks[slot] = rank;
    joined[slot] = joinedId;
  }

  private static long key(int left, int right) {
    return (long) left << 32 | right;
  }

  /** The slot that holds a pair, or the free one where it belongs. */
  private int slot(int left, int right) {
    long key = key(left, right);
    long mixed = key * 0x9e3779b97f4a7c15L;
    int slot = (int) (mixed >>> 32) & keys.length - 1;
    while (keys[slot] != EMPTY && keys[slot] != key) {
      slot = slot + 1 & keys.length - 1;
    }
    return slot;
  }

  /**
   * Merges a piece in place.
   *
   * @param ids the ids of its bytes
   * @return how many ids are left, at the front of the array
   */
  int merge(int[] ids, int length) {
    return length <= SCAN_LIMIT ? mergeByScan(ids, length) : mergeByQueue(ids, length);
  }

  private int mergeByScan(int[] ids, int length) {
    int n = length;
    while (n > 1) {
      int best = -1;
      int bestSlot = -1;
      for (int i = 0; i + 1 < n; i++) {
        int slot = slot(ids[i], ids[i + 1]);
        if (keys[slot] != EMPTY && (best < 0 || ranks[slot] < ranks[bestSlot])) {
          best = i;
          bestSlot = slot;
        }
      }
      if (best < 0) {
        break;
      }
      ids[best] = joined[bestSlot];
      n--;
      System.arraycopy(ids, best + 2, ids, best + 1, n - best - 1);
    }
    return n;
  }

  private int mergeByQueue(int[] ids, int length) {
    int[] next = new int[length];
    int[] previous = new int[length];
    for (int i = 0; i < length; i++) {
      next[i] = i + 1;
      previous[i] = i - 1;
    }
    // candidates as rank << 32 | position, so that ties go to the left
    PriorityQueue<Long> queue = new PriorityQueue<>();
    for (int i = 0; i + 1 < length; i++) {
      offer(queue, ids, i, i + 1);
    }
    while (!queue.isEmpty()) {
      long candidate = queue.poll();
      int at = (int) candidate;
      int right = next[at];
      // stale when either side has been merged since: then the pair is gone or has another rank
      if (ids[at] < 0 || right >= length) {
        continue;
      }
      int slot = slot(ids[at], ids[right]);
      if (keys[slot] == EMPTY || ranks[slot] != (int) (candidate >>> 32)) {
        continue;
      }
      ids[at] = joined[slot];
      ids[right] = -1;
      next[at] = next[right];
      if (next[at] < length) {
        previous[next[at]] = at;
        offer(queue, ids, at, next[at]);
      }
      if (previous[at] >= 0) {
        offer(queue, ids, previous[at], at);
      }
    }
    int n = 0;
    for (int i = 0; i < length; i = next[i]) {
      ids[n++] = ids[i];
    }
    return n;
  }

  private void offer(PriorityQueue<Long> queue, int[] ids, int left, int right) {
    int slot = slot(ids[left], ids[right]);
    if (keys[slot] != EMPTY) {
      queue.add((long) ranks[slot] << 32 | left);
    }
  }
}
