// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import java.util.Arrays;

/**
 * What may stand where in a block, some of whose rows have their tokens. Between rows stand boundaries. For each the sets hold the states
 * that can be there: reachable from the block's first state through tokens that rows have, and any tokens where rows have none; and from
 * which the rest of the block can be filled so that the answer can still end within the tokens that are left. A token may stand in a row
 * when it leads from a state before it to one behind it. Choosing one such token leaves every other row at least one.
 *
 * <p>Where even the shortest end is longer than what is left, the answer will be cut, and the sets ask that it could end some day.
 */
public final class BlockSets {
  private static final int NONE = -1;

  private final TokenAutomaton automaton;
  private final int rows;
  private final int left;
  private final boolean ends;
  private final int first;
  private final int[] tokens;
  private final StateSet[] reached; // by boundary
  private final StateSet[] alive; // those that can go on

  /**
   * @param state before the first row
   * @param rows of the block that answers may fill
   * @param left tokens of the answer from the first row on; what stands behind them does not count
   */
  public BlockSets(TokenAutomaton automaton, int state, int rows, int left) {
    this.automaton = automaton;
    this.rows = rows;
    this.left = left;
    first = state;
    ends = automaton.distance(state) <= left;
    tokens = new int[rows];
    Arrays.fill(tokens, NONE);
    reached = new StateSet[rows + 1];
    alive = new StateSet[rows + 1];
    for (int i = 0; i <= rows; i++) {
      reached[i] = new StateSet(automaton.states());
      alive[i] = new StateSet(automaton.states());
    }
    reached[0].add(state);
    propagate(0);
  }

  /** Whether the answer will end within the tokens that are left. */
  public boolean ends() {
    return ends;
  }

  /** Rows of the block that answers may fill. */
  public int rows() {
    return rows;
  }

  /** Whether a row has no token yet. */
  public boolean open(int row) {
    return tokens[row] == NONE;
  }

  /** Gives a row its token, which has to be one that may stand there. */
  public void commit(int row, int token) {
    if (!legal(row, token)) {
      throw new IllegalArgumentException("token " + token + " may not stand in row " + row);
    }
    tokens[row] = token;
    propagate(row);
  }

  private void propagate(int changed) {
    for (int i = changed; i < rows; i++) {
      StateSet behind = reached[i + 1];
      behind.clear();
      for (int q = reached[i].next(0); q >= 0; q = reached[i].next(q + 1)) {
        if (tokens[i] == NONE) {
          behind.add(automaton.followers(q));
        } else {
          int next = automaton.next(q, tokens[i]);
          if (next >= 0) {
            behind.add(next);
          }
        }
      }
      keepInTime(i + 1);
    }
    for (int i = rows; i >= 0; i--) {
      alive[i].clear();
      for (int q = reached[i].next(0); q >= 0; q = reached[i].next(q + 1)) {
        if (i == rows || goesOn(q, i)) {
          alive[i].add(q);
        }
      }
    }
  }

  /** Behind the last token of the answer an answer that can end has ended. */
  private void keepInTime(int boundary) {
    if (ends && boundary <= left) {
      StateSet states = reached[boundary];
      for (int q = states.next(0); q >= 0; q = states.next(q + 1)) {
        if (automaton.distance(q) > left - boundary) {
          states.remove(q);
        }
      }
    }
  }

  private boolean goesOn(int state, int row) {
    if (tokens[row] != NONE) {
      int next = automaton.next(state, tokens[row]);
      return next >= 0 && alive[row + 1].has(next);
    }
    return alive[row + 1].hasAny(automaton.followers(state));
  }

  /** Whether a token may stand in an open row. */
  public boolean legal(int row, int token) {
    if (!open(row)) {
      return false;
    }
    for (int q = alive[row].next(0); q >= 0; q = alive[row].next(q + 1)) {
      int next = automaton.next(q, token);
      if (next >= 0 && alive[row + 1].has(next)) {
        return true;
      }
    }
    return false;
  }

  /** The only token that may stand in an open row; −1 where there are several. */
  public int single(int row) {
    long[] classes = new long[(automaton.tokens().count() + 63) / 64];
    int only = NONE;
    for (int q = alive[row].next(0); q >= 0; q = alive[row].next(q + 1)) {
      automaton.addClasses(q, alive[row + 1], classes);
      int found = NONE;
      for (int block = 0; block < classes.length; block++) {
        if (classes[block] == 0) {
          continue;
        }
        int c = block * 64 + Long.numberOfTrailingZeros(classes[block]);
        if (found != NONE || Long.bitCount(classes[block]) > 1 || automaton.tokens().count(c) > 1) {
          return NONE;
        }
        found = automaton.tokens().any(c);
      }
      only = found;
    }
    return only;
  }

  /**
   * A bit per token that may stand in an open row.
   *
   * @param words gets {@link TokenAutomaton#words} words from {@code at} on, token t being bit t mod 32 of word t / 32
   */
  public void mask(int row, int[] words, int at) {
    Arrays.fill(words, at, at + automaton.words(), 0);
    long[] classes = new long[(automaton.tokens().count() + 63) / 64];
    for (int q = alive[row].next(0); q >= 0; q = alive[row].next(q + 1)) {
      automaton.addClasses(q, alive[row + 1], classes);
    }
    automaton.tokens().setBits(classes, words, at);
  }

  /** The state behind the block, all of whose rows have their tokens. */
  public int stateBehind() {
    int state = first;
    for (int token : tokens) {
      state = automaton.next(state, token);
    }
    return state;
  }
}
