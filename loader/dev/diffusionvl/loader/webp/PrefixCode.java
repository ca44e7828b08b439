// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

import java.util.Arrays;

/** A prefix code of the lossless format: canonical, given by the lengths of its words, and stored with them. */
final class PrefixCode {
  private static final int MAX_LENGTH = 15;
  /** Words up to this length are looked up at once. */
  private static final int TABLE_BITS = 8;
  private static final int[] LENGTH_ORDER = {17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

  // by the coming bits, as many as the longest word has, but 8 at most: symbol << 4 | length, 0 for longer words
  private final int tableBits;
  private final int[] table;
  // by length: the first word, how many there are, where their symbols begin
  private final int[] first;
  private final int[] count;
  private final int[] start;
  /** In the order of their words. */
  private final int[] symbols;

  /** @param count words by length; together they must leave no room */
  private PrefixCode(int[] count, int[] symbols) {
    this.count = count;
    this.symbols = symbols;
    first = new int[count.length];
    start = new int[count.length];
    long room = 1L << MAX_LENGTH;
    for (int length = 1; length < count.length; length++) {
      first[length] = first[length - 1] + count[length - 1] << 1;
      start[length] = start[length - 1] + count[length - 1];
      room -= (long) count[length] << MAX_LENGTH - length;
    }
    if (room != 0) {
      throw new IllegalArgumentException("a code with missing or surplus words");
    }
    tableBits = Math.min(TABLE_BITS, count.length - 1);
    table = new int[1 << tableBits];
    for (int length = 1; length <= tableBits; length++) {
      for (int i = 0; i < count[length]; i++) {
        int reversed = Integer.reverse(first[length] + i) >>> 32 - length;
        for (int bits = reversed; bits < table.length; bits += 1 << length) {
          table[bits] = symbols[start[length] + i] << 4 | length;
        }
      }
    }
  }

  /** The code of a single symbol, which takes no bits. There may be very many of these, so they hold nothing else. */
  private PrefixCode(int symbol) {
    symbols = new int[] {symbol};
    count = first = start = table = null;
    tableBits = 0;
  }

  private static PrefixCode of(int[] lengths) {
    int[] count = new int[MAX_LENGTH + 1];
    int longest = 0;
    for (int length : lengths) {
      count[length]++;
      longest = Math.max(longest, length);
    }
    count[0] = 0;
    int[] symbols = new int[Arrays.stream(count).sum()];
    int[] next = new int[longest + 2];
    for (int length = 1; length <= longest; length++) {
      next[length + 1] = next[length] + count[length];
    }
    for (int symbol = 0; symbol < lengths.length; symbol++) {
      if (lengths[symbol] > 0) {
        symbols[next[lengths[symbol]]++] = symbol;
      }
    }
    return symbols.length == 1 ? new PrefixCode(symbols[0]) : new PrefixCode(Arrays.copyOf(count, longest + 1), symbols);
  }

  int read(BitReader in) {
    if (table == null) {
      return symbols[0];
    }
    int entry = table[in.peek(tableBits)];
    if (entry != 0) {
      in.skip(entry & 15);
      return entry >> 4;
    }
    int word = Integer.reverse(in.peek(tableBits)) >>> 32 - tableBits;
    in.skip(tableBits);
    for (int length = tableBits + 1; length < count.length; length++) {
      word = word << 1 | in.read(1);
      if (word - first[length] < count[length]) {
        return symbols[start[length] + word - first[length]];
      }
    }
    throw new IllegalArgumentException("a word that is in no code");
  }

  /** Reads the code of an alphabet. */
  static PrefixCode read(BitReader in, int alphabet) {
    if (!in.flag()) {
      int[] lengths = new int[alphabet];
      readLengths(in, lengths);
      return of(lengths);
    }
    boolean two = in.flag();
    int symbol = inside(in.read(in.flag() ? 8 : 1), alphabet);
    int other = two ? inside(in.read(8), alphabet) : symbol;
    return symbol == other ? new PrefixCode(symbol)
        : new PrefixCode(new int[] {0, 2}, new int[] {Math.min(symbol, other), Math.max(symbol, other)});
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
    PrefixCode code = of(own);
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
