// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The tokens outside the byte-pair vocabulary, found in text by exact, longest match. Immutable. */
final class AddedTokens {
  /**
   * @param special dropped when decoding
   */
  record Token(int id, String text, boolean special) {}

  private final Map<Character, List<Token>> byFirstChar = new HashMap<>();
  private final Map<String, Token> byText = new HashMap<>();

  AddedTokens(Iterable<Token> tokens) {
    for (Token token : tokens) {
      byText.put(token.text(), token);
      byFirstChar.computeIfAbsent(token.text().charAt(0), _ -> new ArrayList<>()).add(token);
    }
    byFirstChar.values().forEach(list -> list.sort(Comparator.comparingInt((Token t) -> t.text().length()).reversed()));
  }

  /** The longest token that begins at an index of the text, or null. */
  Token at(String text, int index) {
    List<Token> candidates = byFirstChar.get(text.charAt(index));
    if (candidates != null) {
      for (Token token : candidates) {
        if (text.startsWith(token.text(), index)) {
          return token;
        }
      }
    }
    return null;
  }

  /** The token of exactly this text, or null. */
  Token of(String text) {
    return byText.get(text);
  }
}
