// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.Arrays;
import java.util.PriorityQueue;
import java.util.function.IntConsumer;

/**
 * Byte-level BPE of one piece of text: bytes become their tokens, then the adjacent pair of lowest rank merges (the
 * leftmost of equals) until none is left. O(n log n) in the length of the piece. Immutable after loading, so shared by
 * threads.
 */
final class BytePairEncoding {
  private static final int NONE = -1;

  private final int[] byteTokens;
  private final PairTable merges;

  /**
   * @param byteTokens the token of each of the 256 bytes
   * @param merges rank and result of each pair
   */
  BytePairEncoding(int[] byteTokens, PairTable merges) {
    this.byteTokens = byteTokens;
    this.merges = merges;
  }

  /** @param utf8 one piece of the pre-tokeniser */
  void encode(byte[] utf8, IntConsumer out) {
    int n = utf8.length;
    if (n == 1) {
      out.accept(byteTokens[utf8[0] & 0xFF]);
      return;
    }
    new Piece(utf8).mergeAll().forEach(out);
  }

  /** A pair that could merge: valid while its left position still holds `left` and the following one `right`. */
  private record Candidate(int rank, int position, int left, int right, int result) implements Comparable<Candidate> {
    @Override
    public int compareTo(Candidate other) {
      int byRank = Integer.compare(rank, other.rank);
      return byRank != 0 ? byRank : Integer.compare(position, other.position);
    }
  }

  /** The piece while it merges: a doubly linked list over the positions of its bytes. */
  private final class Piece {
    private final int[] tokens;
    private final int[] next;
    private final int[] previous;
    private final PriorityQueue<Candidate> candidates = new PriorityQueue<>();

    Piece(byte[] utf8) {
      int n = utf8.length;
      tokens = new int[n];
      next = new int[n];
      previous = new int[n];
      for (int i = 0; i < n; i++) {
        tokens[i] = byteTokens[utf8[i] & 0xFF];
        next[i] = i + 1 < n ? i + 1 : NONE;
        previous[i] = i - 1;
      }
      for (int i = 0; i + 1 < n; i++) {
        propose(i);
      }
    }

    Piece mergeAll() {
      for (Candidate c = candidates.poll(); c != null; c = candidates.poll()) {
        int position = c.position;
        int right = next[position];
        // a swallowed position holds NONE, so its old candidates are stale by the first test
        if (tokens[position] != c.left || right == NONE || tokens[right] != c.right) {
          continue;
        }
        tokens[position] = c.result;
        tokens[right] = NONE;
        next[position] = next[right];
        if (next[right] != NONE) {
          previous[next[right]] = position;
          propose(position);
        }
        if (previous[position] != NONE) {
          propose(previous[position]);
        }
      }
      return this;
    }

    void forEach(IntConsumer out) {
      for (int i = 0; i != NONE; i = next[i]) {
        out.accept(tokens[i]);
      }
    }

    private void propose(int position) {
      int left = tokens[position];
      int right = tokens[next[position]];
      int slot = merges.find(left, right);
      if (slot >= 0) {
        candidates.add(new Candidate(merges.rank(slot), position, left, right, merges.result(slot)));
      }
    }
  }

  /**
   * Pair of tokens to rank and merged token: open addressing on primitive arrays, since the real vocabulary has
   * 151,387 merges.
   */
  static final class PairTable {
    private final long[] keys;
    private final int[] ranks;
    private final int[] results;
    private final int mask;

    PairTable(int pairs) {
      int capacity = Integer.highestOneBit(Math.max(8, pairs) * 2 - 1) * 2;
      keys = new long[capacity];
      Arrays.fill(keys, NONE);
      ranks = new int[capacity];
      results = new int[capacity];
      mask = capacity - 1;
    }

    /** A pair given twice keeps the later rank, as the reference does. */
    void put(int left, int right, int rank, int result) {
      int slot = slot(key(left, right));
      keys[slot] = key(left, right);
      ranks[slot] = rank;
      results[slot] = result;
    }

    /** @return a slot, or -1 if the pair does not merge */
    int find(int left, int right) {
      int slot = slot(key(left, right));
      return keys[slot] == NONE ? NONE : slot;
    }

    int rank(int slot) {
      return ranks[slot];
    }

    int result(int slot) {
      return results[slot];
    }

    private int slot(long key) {
      int slot = (int) (key * 0x9E3779B97F4A7C15L >>> 40) & mask;
      while (keys[slot] != NONE && keys[slot] != key) {
        slot = slot + 1 & mask;
      }
      return slot;
    }

    private static long key(int left, int right) {
      return (long) left << 32 | right;
    }
  }
}
