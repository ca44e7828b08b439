// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import dk.brics.automaton.Automaton;
import dk.brics.automaton.BasicAutomata;
import dk.brics.automaton.State;
import dk.brics.automaton.Transition;
import java.math.BigDecimal;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** JSON as answers write it: without white space, each character in one form. Automata of its parts. */
final class JsonText {
  private JsonText() {}

  /** A value's text, of what {@link dev.diffusionvl.loader.Json#tree} makes; its bytes as characters. */
  static String of(Object value) {
    return switch (value) {
      case null -> "null";
      case String text -> string(text);
      case Double d when d == Math.rint(d) && Math.abs(d) < 1e15 -> Long.toString(d.longValue());
      case Double d -> BigDecimal.valueOf(d).toPlainString();
      case List<?> list -> list.stream().map(JsonText::of).collect(Collectors.joining(",", "[", "]"));
      case Map<?, ?> map -> map.entrySet().stream().map(e -> string((String) e.getKey()) + ":" + of(e.getValue()))
          .collect(Collectors.joining(",", "{", "}"));
      default -> value.toString();
    };
  }

  private static String string(String text) {
    return '"' + Characters.JSON.of(text) + '"';
  }

  /** A string whose characters are these. */
  static Automaton string(Automaton inner) {
    return between('"', inner, '"');
  }

  static Automaton between(char open, Automaton inner, char close) {
    return BasicAutomata.makeChar(open).concatenate(inner).concatenate(BasicAutomata.makeChar(close));
  }

  /** An item behind a comma; see {@link #withoutFirstComma}. */
  static Automaton behindComma(Automaton item) {
    return BasicAutomata.makeChar(',').concatenate(item);
  }

  /** Items that each stand behind a comma, as a list: the comma of the first is left out. */
  static Automaton withoutFirstComma(Automaton items) {
    items.expandSingleton();
    State before = items.getInitialState();
    State initial = new State();
    initial.setAccept(before.isAccept());
    for (Transition comma : Set.copyOf(before.getTransitions())) {
      comma.getDest().getTransitions().forEach(t -> initial.addTransition(new Transition(t.getMin(), t.getMax(), t.getDest())));
      initial.setAccept(initial.isAccept() || comma.getDest().isAccept());
    }
    items.setInitialState(initial);
    items.setDeterministic(false);
    return Reduced.of(items);
  }
}
