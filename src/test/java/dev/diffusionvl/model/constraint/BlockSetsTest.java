// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.BadInputException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Forward and backward sets against the enumeration of all token sequences, on random small automata. */
class BlockSetsTest {
  private static final long SEED = Long.getLong("test.seed", 1L);
  private static final int AUTOMATA = 10_000;

  /** The definition: which sequences of tokens are the beginning of an answer. Knows nothing of classes, sets and distances. */
  private record Brute(int[][] next, boolean[] accepting, byte[][] tokens, int eos) {
    static final int END = -1;
    static final int DEAD = -2;

    int step(int state, int token) {
      if (token == eos) {
        return state == END || accepting[state] ? END : DEAD;
      }
      if (state == END || tokens[token] == null || tokens[token].length == 0) {
        return DEAD;
      }
      int at = state;
      for (byte b : tokens[token]) {
        at = next[b - 'a'][at];
        if (at < 0) {
          return DEAD;
        }
      }
      return at;
    }

    /** Whether {@code count} more tokens can lead to the end, each row of {@code fixed} having its token. */
    boolean canEnd(int state, int row, int count, int[] fixed) {
      if (row == count) {
        return state == END;
      }
      for (int t = 0; t < tokens.length; t++) {
        if ((row >= fixed.length || fixed[row] < 0 || fixed[row] == t) && step(state, t) != DEAD
            && canEnd(step(state, t), row + 1, count, fixed)) {
          return true;
        }
      }
      return false;
    }

    /** Whether the rows can be filled so that the end can be reached some day. */
    boolean canFill(int state, int row, int[] fixed) {
      if (row == fixed.length) {
        return state == END || endsSomeDay(state);
      }
      for (int t = 0; t < tokens.length; t++) {
        if ((fixed[row] < 0 || fixed[row] == t) && step(state, t) != DEAD && canFill(step(state, t), row + 1, fixed)) {
          return true;
        }
      }
      return false;
    }

    private boolean endsSomeDay(int state) {
      boolean[] seen = new boolean[accepting.length];
      List<Integer> open = new ArrayList<>(List.of(state));
      while (!open.isEmpty()) {
        int q = open.removeLast();
        if (q == END) {
          return true;
        }
        if (!seen[q]) {
          seen[q] = true;
          for (int t = 0; t < tokens.length; t++) {
            if (step(q, t) != DEAD) {
              open.add(step(q, t));
            }
          }
        }
      }
      return false;
    }

    boolean allowed(int[] fixed, int left, boolean ends) {
      return ends ? canEnd(0, 0, Math.max(fixed.length, left), fixed) && endsWithin(fixed, left) : canFill(0, 0, fixed);
    }

    /** Rows behind the answer hold end of text in a sequence that ends in time. */
    private boolean endsWithin(int[] fixed, int left) {
      return left >= fixed.length || canEnd(0, 0, left, Arrays.copyOf(fixed, left))
          && Arrays.stream(fixed, left, fixed.length).allMatch(t -> t < 0 || t == eos);
    }
  }

  private static Brute random(Random random) {
    int states = 1 + random.nextInt(6);
    int[][] next = new int[3][states];
    boolean[] accepting = new boolean[states];
    for (int s = 0; s < states; s++) {
      accepting[s] = random.nextInt(4) == 0;
      for (int[] column : next) {
        column[s] = random.nextInt(3) == 0 ? -1 : random.nextInt(states);
      }
    }
    byte[][] tokens = new byte[3 + random.nextInt(4)][];
    for (int t = 0; t < tokens.length; t++) {
      tokens[t] = random.nextInt(8) == 0 ? null : new byte[random.nextInt(9) == 0 ? 0 : 1 + random.nextInt(3)];
      for (int i = 0; tokens[t] != null && i < tokens[t].length; i++) {
        tokens[t][i] = (byte) ('a' + random.nextInt(3));
      }
    }
    int eos = random.nextInt(tokens.length);
    return new Brute(next, accepting, tokens, eos);
  }

  private static ByteAutomaton bytes(Brute brute) {
    int[][] columns = new int[256][brute.accepting().length];
    for (int[] column : columns) {
      Arrays.fill(column, -1);
    }
    for (int i = 0; i < 3; i++) {
      columns['a' + i] = brute.next()[i];
    }
    return ByteAutomaton.of(columns, brute.accepting());
  }

  @Test
  void agreesWithTheEnumerationOfAllSequences() {
    Random random = new Random(SEED);
    int ending = 0;
    int cut = 0;
    int singles = 0;
    int refused = 0;
    for (int n = 0; ending + cut < AUTOMATA; n++) {
      Brute brute = random(random);
      Vocabulary vocabulary = new Vocabulary(brute.tokens(), brute.eos());
      if (!brute.endsSomeDay(0)) {
        assertThrows(BadInputException.class, () -> TokenAutomaton.of(bytes(brute), vocabulary));
        refused++;
        continue;
      }
      TokenAutomaton automaton = TokenAutomaton.of(bytes(brute), vocabulary);
      int rows = 1 + random.nextInt(4);
      int left = 1 + random.nextInt(1 + random.nextInt(6));
      String where = "automaton %d of seed %d, %d rows, %d left".formatted(n, SEED, rows, left);
      int[] fixed = new int[rows];
      Arrays.fill(fixed, -1);
      BlockSets sets = new BlockSets(automaton, automaton.initial(), rows, left);
      boolean ends = brute.canEnd(0, 0, left, new int[0]);
      assertEquals(ends, sets.ends(), where);
      ending += ends ? 1 : 0;
      cut += ends ? 0 : 1;
      for (int commit = 0; commit < rows; commit++) {
        List<int[]> choices = new ArrayList<>();
        for (int row = 0; row < rows; row++) {
          if (fixed[row] < 0) {
            List<Integer> legal = check(brute, sets, automaton, fixed, row, left, ends, where);
            singles += legal.size() == 1 ? 1 : 0;
            int at = row;
            legal.forEach(token -> choices.add(new int[] {at, token}));
          }
        }
        int[] choice = choices.get(random.nextInt(choices.size()));
        fixed[choice[0]] = choice[1];
        sets.commit(choice[0], choice[1]);
      }
      int state = sets.stateBehind();
      assertTrue(!ends || automaton.distance(state) <= Math.max(0, left - rows), where);
    }
    assertTrue(ending > 1000 && cut > 1000 && singles > 1000 && refused > 100,
        "cases of each kind: %d %d %d %d".formatted(ending, cut, singles, refused));
  }

  private static List<Integer> check(Brute brute, BlockSets sets, TokenAutomaton automaton, int[] fixed, int row, int left, boolean ends,
      String where) {
    int[] words = new int[automaton.words()];
    sets.mask(row, words, 0);
    List<Integer> legal = new ArrayList<>();
    for (int t = 0; t < brute.tokens().length; t++) {
      fixed[row] = t;
      boolean expected = brute.allowed(fixed, left, ends);
      assertEquals(expected, sets.legal(row, t), where + ", row " + row + ", token " + t);
      assertEquals(expected, (words[t / 32] >>> t & 1) != 0, where + ", mask of row " + row + ", token " + t);
      if (expected) {
        legal.add(t);
      }
    }
    fixed[row] = -1;
    assertFalse(legal.isEmpty(), where + ": a dead end in row " + row);
    assertEquals(legal.size() == 1 ? legal.getFirst() : -1, sets.single(row), where + ", row " + row);
    return legal;
  }
}
