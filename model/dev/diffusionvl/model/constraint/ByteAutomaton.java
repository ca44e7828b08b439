// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import dk.brics.automaton.Automaton;
import dk.brics.automaton.State;
import dk.brics.automaton.Transition;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * A deterministic automaton over bytes as a table. From each state an accepting one can be reached. Bytes between which no state tells
 * a difference are of one class.
 */
final class ByteAutomaton {
  private final byte[] classes; // byte → class, as an unsigned number
  private final int classCount;
  private final int[] next; // state · classes + class → state, or −1
  private final boolean[] accepting;

  private ByteAutomaton(byte[] classes, int classCount, int[] next, boolean[] accepting) {
    this.classes = classes;
    this.classCount = classCount;
    this.next = next;
    this.accepting = accepting;
  }

  /** Of a deterministic automaton without dead states, whose characters are bytes. */
  static ByteAutomaton of(Automaton automaton) {
    automaton.expandSingleton();
    // By breadth, so that followers of a state have numbers close together.
    List<State> states = new ArrayList<>(List.of(automaton.getInitialState()));
    Map<State, Integer> numbers = new IdentityHashMap<>(Map.of(states.getFirst(), 0));
    for (int s = 0; s < states.size(); s++) {
      for (Transition t : states.get(s).getSortedTransitions(false)) {
        if (numbers.putIfAbsent(t.getDest(), states.size()) == null) {
          states.add(t.getDest());
        }
      }
    }
    boolean[] accepting = new boolean[states.size()];
    int[][] columns = new int[256][states.size()];
    for (int[] column : columns) {
      Arrays.fill(column, -1);
    }
    for (int s = 0; s < accepting.length; s++) {
      accepting[s] = states.get(s).isAccept();
      for (Transition t : states.get(s).getTransitions()) {
        for (int b = t.getMin(); b <= t.getMax(); b++) {
          columns[b][s] = numbers.get(t.getDest());
        }
      }
    }
    return of(columns, accepting);
  }

  /** @param columns byte → state → next state, or −1 */
  static ByteAutomaton of(int[][] columns, boolean[] accepting) {
    byte[] classes = new byte[256];
    Map<Integer, List<Integer>> alike = new HashMap<>(); // by hash: bytes that stand for their classes
    List<int[]> kept = new ArrayList<>();
    for (int b = 0; b < 256; b++) {
      int[] column = columns[b];
      List<Integer> candidates = alike.computeIfAbsent(Arrays.hashCode(column), h -> new ArrayList<>());
      int found = candidates.stream().filter(c -> Arrays.equals(kept.get(c), column)).findFirst().orElse(-1);
      if (found < 0) {
        found = kept.size();
        candidates.add(found);
        kept.add(column);
      }
      classes[b] = (byte) found;
    }
    int[] next = new int[accepting.length * kept.size()];
    for (int s = 0; s < accepting.length; s++) {
      for (int c = 0; c < kept.size(); c++) {
        next[s * kept.size() + c] = kept.get(c)[s];
      }
    }
    return new ByteAutomaton(classes, kept.size(), next, accepting);
  }

  int initial() {
    return 0;
  }

  int states() {
    return accepting.length;
  }

  boolean accepts(int state) {
    return accepting[state];
  }

  int classOf(int b) {
    return classes[b & 0xff] & 0xff;
  }

  /** The state behind a byte, or −1. */
  int next(int state, int b) {
    return nextOfClass(state, classOf(b));
  }

  int nextOfClass(int state, int byteClass) {
    return next[state * classCount + byteClass];
  }
}
