// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import java.util.Map;
import java.util.TreeMap;
import java.util.function.IntPredicate;

/** A set of characters (code points), as ranges that do not touch. */
final class CharacterSet {
  /** Receives ranges. */
  interface Ranges {
    void range(int from, int to);
  }

  private final TreeMap<Integer, Integer> ranges = new TreeMap<>(); // first → last

  static CharacterSet of(int from, int to) {
    return new CharacterSet().add(from, to);
  }

  static CharacterSet all() {
    return of(0, Characters.LAST);
  }

  static CharacterSet where(IntPredicate test) {
    CharacterSet set = new CharacterSet();
    int from = -1;
    for (int c = 0; c <= Characters.LAST + 1; c++) {
      boolean in = c <= Characters.LAST && test.test(c);
      if (in && from < 0) {
        from = c;
      } else if (!in && from >= 0) {
        set.add(from, c - 1);
        from = -1;
      }
    }
    return set;
  }

  CharacterSet add(int from, int to) {
    int first = from;
    int last = to;
    for (Map.Entry<Integer, Integer> near = ranges.floorEntry(last + 1); near != null && near.getValue() >= first - 1;
        near = ranges.floorEntry(last + 1)) {
      first = Math.min(first, near.getKey());
      last = Math.max(last, near.getValue());
      ranges.remove(near.getKey());
    }
    ranges.put(first, last);
    return this;
  }

  CharacterSet add(CharacterSet other) {
    other.forEach(this::add);
    return this;
  }

  CharacterSet complement() {
    CharacterSet rest = new CharacterSet();
    int next = 0;
    for (Map.Entry<Integer, Integer> range : ranges.entrySet()) {
      if (range.getKey() > next) {
        rest.add(next, range.getKey() - 1);
      }
      next = range.getValue() + 1;
    }
    if (next <= Characters.LAST) {
      rest.add(next, Characters.LAST);
    }
    return rest;
  }

  void forEach(Ranges each) {
    ranges.forEach(each::range);
  }
}
