// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

import java.util.Arrays;

/** A prefix code of the lossless format: canonical, given by the lengths of its words, and stored with them. */
final class PrefixCode {
  private static final int MAX_LENGTH = 15;
  /** Words up to this length are looked up at once. */
  private static final int TABLE_BITS = 8;
  private static final int[] LENGTH_ORDER = {17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

  // by the coming 8 bits: symbol << 4 | length, 0 for longer words
  private final int[] table = new int[1 << TABLE_BITS];
  // by length: the first word, how many there are, where their symbols begin
  private final int[] first = new int[MAX_LENGTH + 1];
  private final int[] count = new int[MAX_LENGTH + 1];
  private final int[] start = new int[MAX_LENGTH + 1];
  private final int[] symbols;
  /** The only symbol, which takes no bits; or −1. */
  private int single = -1;

  private PrefixCode(int[] lengths) {
    int used = 0;
    for (int length : lengths) {
      count[length]++;
      used += length > 0 ? 1 : 0;
    }
    count[0] = 0;
    symbols = new int[used];
    if (used == 0) {
      throw new IllegalArgumentException("a code without words");
    }
    long room = 1L << MAX_LENGTH;
    int word = 0;
    for (int length = 1, at = 0; length <= MAX_LENGTH; length++) {
      word = word + count[length - 1] << 1;
      first[length] = word;
      start[length] = at;
      at += count[length];
      room -= (long) count[length] << MAX_LENGTH - length;
    }
    if (used > 1 && room != 0) {
      throw new IllegalArgumentException("a code with missing or surplus words");
    }
    int[] next = start.clone();
    for (int symbol = 0; symbol < lengths.length; symbol++) {
      if (lengths[symbol] > 0) {
        symbols[next[lengths[symbol]]++] = symbol;
      }
    }
    if (used == 1) {
      single = symbols[0];
    } else {
      fillTable();
    }
  }

  private void fillTable() {
    for (int length = 1; length <= TABLE_BITS; length++) {
      for (int i = 0; i < count[length]; i++) {
        int reversed = Integer.reverse(first[length] + i) >>> 32 - length;
        for (int bits = reversed; bits < table.length; bits += 1 << length) {
          table[bits] = symbols[start[length] + i] << 4 | length;
        }
      }
    }
  }

  int read(BitReader in) {
    if (single >= 0) {
      return single;
    }
    int entry = table[in.peek(TABLE_BITS)];
    if (entry != 0) {
      in.skip(entry & 15);
      return entry >> 4;
    }
    int word = Integer.reverse(in.peek(TABLE_BITS)) >>> 32 - TABLE_BITS;
    in.skip(TABLE_BITS);
    for (int length = TABLE_BITS + 1; length <= MAX_LENGTH; length++) {
      word = word << 1 | in.read(1);
      if (word - first[length] < count[length]) {
        return symbols[start[length] + word - first[length]];
      }
    }
    throw new IllegalArgumentException("a word that is in no code");
  }

  /** Reads the code of an alphabet. */
  static PrefixCode read(BitReader in, int alphabet) {
    int[] lengths = new int[alphabet];
    if (in.flag()) {
      boolean two = in.flag();
      lengths[inside(in.read(in.flag() ? 8 : 1), alphabet)] = 1;
      if (two) {
        lengths[inside(in.read(8), alphabet)] = 1;
      }
    } else {
      readLengths(in, lengths);
    }
    return new PrefixCode(lengths);
  }

  private static int inside(int symbol, int alphabet) {
    if (symbol >= alphabet) {
      throw new IllegalArgumentException("symbol " + symbol + " of an alphabet of " + alphabet);
    }
    return symbol;
  }

  private static void readLengths(BitReader in, int[] lengths) {
    int[] own = new int[LENGTH_ORDER.length];
    int given = 4 + in.read(4);
    if (given > own.length) {
      throw new IllegalArgumentException(given + " code length codes");
    }
    for (int i = 0; i < given; i++) {
      own[LENGTH_ORDER[i]] = in.read(3);
    }
    PrefixCode code = new PrefixCode(own);
    int words = lengths.length;
    if (in.flag()) {
      words = 2 + in.read(2 + 2 * in.read(3));
      if (words > lengths.length) {
        throw new IllegalArgumentException(words + " words for an alphabet of " + lengths.length);
      }
    }
    int previous = 8;
    for (int symbol = 0; symbol < lengths.length && words > 0; words--) {
      int length = code.read(in);
      if (length < 16) {
        lengths[symbol++] = length;
        previous = length > 0 ? length : previous;
        continue;
      }
      int repeat = switch (length) {
        case 16 -> 3 + in.read(2);
        case 17 -> 3 + in.read(3);
        default -> 11 + in.read(7);
      };
      if (symbol + repeat > lengths.length) {
        throw new IllegalArgumentException("code lengths beyond the alphabet");
      }
      Arrays.fill(lengths, symbol, symbol + repeat, length == 16 ? previous : 0);
      symbol += repeat;
    }
  }
}
