// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import dk.brics.automaton.Automaton;
import dk.brics.automaton.BasicAutomata;
import dk.brics.automaton.BasicOperations;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * How characters become bytes: plain UTF-8, or as they stand in a JSON string. Automata of this package read bytes; a byte is the character
 * of the same number. Of the forms that JSON allows for a character there is one: the character itself, or its shortest escape where it has
 * to be escaped.
 */
enum Characters {
  UTF8 {
    @Override
    void add(List<Automaton> pieces, int from, int to) {
      Utf8Ranges.add(pieces, from, to);
    }

    @Override
    String of(int character) {
      return bytes(Character.toString(character));
    }
  },

  JSON {
    @Override
    void add(List<Automaton> pieces, int from, int to) {
      int start = from;
      for (int c = from; c <= Math.min(to, '\\'); c++) {
        if (escaped(c)) {
          Utf8Ranges.add(pieces, start, c - 1);
          pieces.add(BasicAutomata.makeString(of(c)));
          start = c + 1;
        }
      }
      Utf8Ranges.add(pieces, start, to);
    }

    @Override
    String of(int character) {
      return switch (character) {
        case '"' -> "\\\"";
        case '\\' -> "\\\\";
        case '\b' -> "\\b";
        case '\f' -> "\\f";
        case '\n' -> "\\n";
        case '\r' -> "\\r";
        case '\t' -> "\\t";
        default -> escaped(character) ? String.format("\\u%04x", character) : bytes(Character.toString(character));
      };
    }
  };

  static final int LAST = Character.MAX_CODE_POINT;

  private static boolean escaped(int c) {
    return c < ' ' || c == '"' || c == '\\';
  }

  /** Adds automata whose union are the characters of a range; none where the range is empty. */
  abstract void add(List<Automaton> pieces, int from, int to);

  abstract String of(int character);

  /** A character of a set. */
  final Automaton in(CharacterSet set) {
    List<Automaton> pieces = new ArrayList<>();
    set.forEach((from, to) -> add(pieces, from, to));
    return Reduced.of(BasicOperations.union(pieces));
  }

  /** One text. */
  final String of(String text) {
    StringBuilder all = new StringBuilder();
    text.codePoints().forEach(c -> all.append(of(c)));
    return all.toString();
  }

  /** The bytes of a text in UTF-8, each as a character. */
  static String bytes(String text) {
    return new String(text.getBytes(StandardCharsets.UTF_8), StandardCharsets.ISO_8859_1);
  }
}
