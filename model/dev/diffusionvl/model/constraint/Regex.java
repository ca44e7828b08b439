// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import dev.diffusionvl.loader.BadInputException;
import dk.brics.automaton.Automaton;
import dk.brics.automaton.BasicAutomata;
import dk.brics.automaton.State;
import java.util.ArrayList;
import java.util.List;

/**
 * Regular expressions as JavaScript (and so JSON Schema) writes them, as far as they are regular: no look-around, no references back, no
 * word boundaries. An anchor is read as if it were a character, of which the text has one at each end.
 */
final class Regex {
  static final char BEGIN = 0x100;
  static final char END = 0x101;
  private static final int MAX_DEPTH = 100;

  private final String pattern;
  private final Characters characters;
  private final RegexClasses classes;
  private int at;
  private int depth;

  private Regex(String pattern, Characters characters) {
    this.pattern = pattern;
    this.characters = characters;
    classes = new RegexClasses(this);
  }

  /** Texts that the pattern matches from end to end. @throws BadInputException if it is not supported, or matches nothing */
  static Automaton whole(String pattern, Characters characters) {
    Regex regex = new Regex(pattern, characters);
    Automaton inner = regex.parse();
    return regex.between(marker(BEGIN).optional().concatenate(inner).concatenate(marker(END).optional()));
  }

  /** Texts that hold a match, as the keyword pattern of JSON Schema has it. */
  static Automaton search(String pattern, Characters characters) {
    Regex regex = new Regex(pattern, characters);
    Automaton inner = regex.parse();
    Automaton anything = regex.any().union(BasicAutomata.makeCharRange(BEGIN, END)).repeat();
    return regex.between(anything.concatenate(inner).concatenate(anything));
  }

  private static Automaton marker(char marker) {
    return BasicAutomata.makeChar(marker);
  }

  private Automaton any() {
    return characters.in(CharacterSet.all());
  }

  /** What stands between the markers in the texts that have one at each end and nowhere else. */
  private Automaton between(Automaton marked) {
    Automaton texts = Reduced.of(Reduced.intersection(marked, marker(BEGIN).concatenate(any().repeat()).concatenate(marker(END))));
    State first = texts.getInitialState().step(BEGIN);
    if (first == null) {
      throw error("matches no text");
    }
    texts.setInitialState(first);
    for (State state : texts.getStates()) {
      state.setAccept(state.step(END) != null);
      state.getTransitions().removeIf(t -> t.getMin() == END);
    }
    texts.setDeterministic(true);
    return Reduced.of(texts);
  }

  private Automaton parse() {
    Automaton all = alternatives();
    if (at < pattern.length()) {
      throw error("unmatched )");
    }
    return all;
  }

  private Automaton alternatives() {
    if (++depth > MAX_DEPTH) {
      throw error("nested deeper than " + MAX_DEPTH);
    }
    List<Automaton> all = new ArrayList<>();
    do {
      all.add(sequence());
    } while (accept('|'));
    depth--;
    return all.size() == 1 ? all.getFirst() : Automaton.union(all);
  }

  private Automaton sequence() {
    List<Automaton> items = new ArrayList<>();
    long states = 0;
    while (at < pattern.length() && peek() != '|' && peek() != ')') {
      items.add(quantified(item()));
      states += items.getLast().getNumberOfStates();
      Reduced.requireFew(states);
    }
    return items.isEmpty() ? BasicAutomata.makeEmptyString() : Automaton.concatenate(items);
  }

  private Automaton quantified(Automaton item) {
    int min;
    int max;
    if (accept('*')) {
      min = 0;
      max = -1;
    } else if (accept('+')) {
      min = 1;
      max = -1;
    } else if (accept('?')) {
      min = 0;
      max = 1;
    } else if (isCount()) {
      at++;
      min = count();
      max = !accept(',') ? min : peek() == '}' ? -1 : count();
      at++;
    } else {
      return item;
    }
    accept('?'); // lazy: another match of the same texts
    if (at < pattern.length() && (peek() == '*' || peek() == '+' || peek() == '?')) {
      throw error("nothing to repeat before " + peek());
    }
    if (max >= 0 && max < min) {
      throw error("numbers out of order");
    }
    Reduced.requireFew((long) item.getNumberOfStates() * Math.max(min, max));
    return max < 0 ? item.repeat(min) : item.repeat(min, max);
  }

  private boolean isCount() {
    return pattern.substring(at).matches("(?s)\\{[0-9]{1,9}(,[0-9]{0,9})?\\}.*");
  }

  private int count() {
    int from = at;
    while (Character.digit(peek(), 10) >= 0) {
      at++;
    }
    return Integer.parseInt(pattern.substring(from, at));
  }

  private Automaton item() {
    char c = pattern.charAt(at);
    switch (c) {
      case '(' -> {
        return group();
      }
      case '^', '$' -> {
        at++;
        return marker(c == '^' ? BEGIN : END);
      }
      case '*', '+', '?' -> throw error("nothing to repeat before " + c);
      case '{' -> {
        if (isCount()) {
          throw error("nothing to repeat before {");
        }
      }
      default -> { }
    }
    return characters.in(classes.next());
  }

  private Automaton group() {
    at++;
    if (accept('?')) {
      boolean named = pattern.startsWith("<", at) && !pattern.startsWith("<=", at) && !pattern.startsWith("<!", at);
      if (named && pattern.indexOf('>', at) > 0) {
        at = pattern.indexOf('>', at) + 1;
      } else if (!accept(':')) {
        throw error("look-around and flags, (?" + (at < pattern.length() ? peek() : "") + ", are not supported");
      }
    }
    Automaton inner = alternatives();
    if (!accept(')')) {
      throw error("missing )");
    }
    return inner;
  }

  String pattern() {
    return pattern;
  }

  boolean atEnd() {
    return at >= pattern.length();
  }

  char peek() {
    return atEnd() ? 0 : pattern.charAt(at);
  }

  /** The next character, a pair of surrogates being one. */
  int take() {
    if (atEnd()) {
      throw error("ends in the middle");
    }
    int c = pattern.codePointAt(at);
    at += Character.charCount(c);
    return c;
  }

  boolean accept(char c) {
    boolean there = !atEnd() && pattern.charAt(at) == c;
    at += there ? 1 : 0;
    return there;
  }

  /** So many characters, which are to be hexadecimal digits; null if they are not. */
  Integer takeHex(int digits) {
    if (at + digits > pattern.length() || !pattern.substring(at, at + digits).matches("[0-9a-fA-F]+")) {
      return null;
    }
    at += digits;
    return Integer.parseInt(pattern.substring(at - digits, at), 16);
  }

  /** Up to the character, which is taken as well. */
  String takeUntil(char end) {
    int to = pattern.indexOf(end, at);
    if (to < 0) {
      throw error("missing " + end);
    }
    String text = pattern.substring(at, to);
    at = to + 1;
    return text;
  }

  BadInputException error(String problem) {
    return new BadInputException("regular expression " + pattern + ": " + problem + " (character " + at + ")");
  }
}
