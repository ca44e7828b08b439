// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import dev.diffusionvl.loader.BadInputException;
import dk.brics.automaton.Automaton;
import dk.brics.automaton.State;
import dk.brics.automaton.Transition;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.stream.IntStream;

/**
 * Automata made deterministic and minimal within a limit of states. The library's own subset construction has no limit: a short expression
 * can ask it for 2^30 states.
 */
final class Reduced {
  /** Most states of an automaton over bytes. */
  static final int MAX_STATES = 30_000;

  /** Most pairs of states that an intersection may look at. */
  private static final long MAX_PAIRS = 5_000_000;

  /** Beyond so many states and classes of bytes the library's minimisation takes more memory than a smaller automaton is worth. */
  private static final long MAX_MINIMISED = 1_500_000;

  /** {@link System#nanoTime} until which the automaton has to be made. */
  static final ScopedValue<Long> DEADLINE = ScopedValue.newInstance();

  private Reduced() {}

  /** What both accept; neither is to be used afterwards. @throws BadInputException when it needs too many states */
  static Automaton intersection(Automaton a, Automaton b) {
    Automaton first = of(a);
    Automaton second = of(b);
    if ((long) first.getNumberOfStates() * second.getNumberOfStates() > MAX_PAIRS) {
      throw tooLarge();
    }
    return first.intersection(second);
  }

  /** The same language; the argument is not to be used afterwards. @throws BadInputException when it needs too many states */
  static Automaton of(Automaton automaton) {
    requireTime();
    automaton.expandSingleton();
    int states = automaton.getNumberOfStates();
    if (states > 16 * MAX_STATES) {
      throw tooLarge();
    }
    Automaton result = automaton.isDeterministic() ? automaton : new Subsets(automaton).build();
    int found = result.getNumberOfStates();
    requireFew(found);
    if ((long) found * pieces(result) <= MAX_MINIMISED) {
      result.minimize();
      result.expandSingleton();
    }
    return result;
  }

  /** Fails when an automaton that is about to be made would be too large. */
  static void requireFew(long states) {
    if (states > MAX_STATES) {
      throw tooLarge();
    }
  }

  static void requireTime() {
    if (DEADLINE.isBound() && System.nanoTime() > DEADLINE.get()) {
      throw new BadInputException("constraint: too large, its automaton is not finished in time");
    }
  }

  private static BadInputException tooLarge() {
    return new BadInputException("constraint: too large, it needs more than %d states: bounds of lengths and of repetitions cost most"
        .formatted(MAX_STATES));
  }

  private static int pieces(Automaton automaton) {
    boolean[] starts = new boolean[Regex.END + 2];
    for (State state : automaton.getStates()) {
      for (Transition t : state.getTransitions()) {
        starts[t.getMin()] = true;
        starts[t.getMax() + 1] = true;
      }
    }
    int count = 1;
    for (boolean start : starts) {
      count += start ? 1 : 0;
    }
    return count;
  }

  /** The subset construction. */
  private static final class Subsets {
    private final List<State> states;
    private final Map<State, Integer> numbers = new IdentityHashMap<>();
    private final Map<Key, State> found = new HashMap<>();
    private final Queue<Key> open = new ArrayDeque<>();
    private final int initial;

    private record Key(int[] members, int hash) {
      static Key of(int[] members) {
        return new Key(members, Arrays.hashCode(members));
      }

      @Override
      public boolean equals(Object other) {
        return other instanceof Key key && Arrays.equals(members, key.members);
      }

      @Override
      public int hashCode() {
        return hash;
      }
    }

    Subsets(Automaton automaton) {
      states = List.copyOf(automaton.getStates());
      for (State state : states) {
        numbers.put(state, numbers.size());
      }
      initial = numbers.get(automaton.getInitialState());
    }

    Automaton build() {
      Automaton result = new Automaton();
      result.setInitialState(state(Key.of(new int[] {initial})));
      while (!open.isEmpty()) {
        Key from = open.remove();
        expand(from, found.get(from));
        requireFew(found.size());
        requireTime();
      }
      result.setDeterministic(true);
      result.removeDeadTransitions();
      return result;
    }

    private State state(Key key) {
      State known = found.get(key);
      if (known == null) {
        known = new State();
        for (int member : key.members()) {
          known.setAccept(known.isAccept() || states.get(member).isAccept());
        }
        found.put(key, known);
        open.add(key);
      }
      return known;
    }

    /** Goes through the pieces of the alphabet on which the members' transitions are the same. */
    private void expand(Key from, State source) {
      List<Transition> all = Arrays.stream(from.members()).boxed().flatMap(m -> states.get(m).getTransitions().stream()).toList();
      int[] starts = all.stream().flatMapToInt(t -> IntStream.of(t.getMin(), t.getMax() + 1)).sorted().distinct()
          .toArray();
      for (int i = 0; i + 1 < starts.length; i++) {
        int at = starts[i];
        int[] members = all.stream().filter(t -> t.getMin() <= at && at <= t.getMax()).mapToInt(t -> numbers.get(t.getDest())).sorted()
            .distinct().toArray();
        if (members.length > 0) {
          source.addTransition(new Transition((char) at, (char) (starts[i + 1] - 1), state(Key.of(members))));
        }
      }
    }
  }
}
