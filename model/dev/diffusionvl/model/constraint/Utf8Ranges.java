// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import dk.brics.automaton.Automaton;
import dk.brics.automaton.BasicAutomata;
import java.util.List;

/** Ranges of characters as sequences of ranges of bytes. */
final class Utf8Ranges {
  private static final int[] LAST_OF_LENGTH = {0x7f, 0x7ff, 0xffff, Characters.LAST};

  private Utf8Ranges() {}

  /** Adds an automaton for each piece of the range whose bytes vary independently. Surrogates are no characters and are left out. */
  static void add(List<Automaton> pieces, int from, int to) {
    if (from > to) {
      return;
    }
    if (from <= 0xdfff && to >= 0xd800) {
      add(pieces, from, 0xd7ff);
      add(pieces, 0xe000, to);
      return;
    }
    for (int last : LAST_OF_LENGTH) {
      if (from <= last && last < to) {
        add(pieces, from, last);
        add(pieces, last + 1, to);
        return;
      }
    }
    for (int bits = 6; bits < 21 && from > 0x7f; bits += 6) {
      int low = (1 << bits) - 1;
      if ((from & ~low) != (to & ~low)) {
        if ((from & low) != 0) {
          add(pieces, from, from | low);
          add(pieces, (from | low) + 1, to);
          return;
        }
        if ((to & low) != low) {
          add(pieces, from, (to & ~low) - 1);
          add(pieces, to & ~low, to);
          return;
        }
      }
    }
    String first = Characters.bytes(Character.toString(from));
    String last = Characters.bytes(Character.toString(to));
    Automaton piece = BasicAutomata.makeEmptyString();
    for (int i = 0; i < first.length(); i++) {
      piece = piece.concatenate(BasicAutomata.makeCharRange(first.charAt(i), last.charAt(i)));
    }
    pieces.add(piece);
  }
}
