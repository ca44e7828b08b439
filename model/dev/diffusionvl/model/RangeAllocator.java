// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import java.util.Map;
import java.util.TreeMap;

/** Hands out contiguous ranges of [0, size), the lowest that is large enough, and joins what comes back. */
final class RangeAllocator {
  private final TreeMap<Integer, Integer> free = new TreeMap<>(); // begin → length; no two touch
  private final int size;
  private int used;

  RangeAllocator(int size) {
    this.size = size;
    if (size > 0) {
      free.put(0, size);
    }
  }

  /** The begin of a range, or −1 if there is none of this length. */
  int take(int length) {
    if (length < 1) {
      throw new IllegalArgumentException("a range of " + length);
    }
    for (Map.Entry<Integer, Integer> range : free.entrySet()) {
      if (range.getValue() >= length) {
        int begin = range.getKey();
        int rest = range.getValue() - length;
        free.remove(begin);
        if (rest > 0) {
          free.put(begin + length, rest);
        }
        used += length;
        return begin;
      }
    }
    return -1;
  }

  /** Takes a range back. */
  void give(int begin, int length) {
    Map.Entry<Integer, Integer> before = free.floorEntry(begin);
    Map.Entry<Integer, Integer> behind = free.ceilingEntry(begin);
    if (begin < 0 || length < 1 || begin + length > size || before != null && before.getKey() + before.getValue() > begin
        || behind != null && begin + length > behind.getKey()) {
      throw new IllegalArgumentException("range from %d of %d is not taken".formatted(begin, length));
    }
    used -= length;
    int from = begin;
    int to = begin + length;
    if (before != null && before.getKey() + before.getValue() == begin) {
      from = before.getKey();
    }
    if (behind != null && behind.getKey() == to) {
      to += behind.getValue();
      free.remove(behind.getKey());
    }
    free.put(from, to - from);
  }

  /** Whether a range of this length is free. */
  boolean fits(int length) {
    return free.values().stream().anyMatch(range -> range >= length);
  }

  int used() {
    return used;
  }

  int size() {
    return size;
  }
}
