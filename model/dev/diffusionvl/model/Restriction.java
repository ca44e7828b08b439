// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.Tokenizer;
import dev.diffusionvl.model.constraint.Constraint;
import dev.diffusionvl.model.constraint.TokenAutomaton;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The constraint of an answer in the tokens of a model.
 *
 * @param choices if the answer is one of some choices: the tokens of each, end of text included; none where a choice cannot be compared,
 *     since the tokenizer gives it tokens of another text
 */
record Restriction(TokenAutomaton automaton, List<int[]> choices) {
  static Restriction of(DiffusionVl model, Constraint constraint) {
    TokenAutomaton automaton = model.vocabulary().automaton(constraint);
    List<int[]> choices = new ArrayList<>();
    for (String choice : constraint.choices()) {
      int[] tokens = model.tokenizer().encode(choice);
      if (!spells(model.tokenizer(), tokens, choice)) {
        return new Restriction(automaton, List.of());
      }
      int[] ended = Arrays.copyOf(tokens, tokens.length + 1);
      ended[tokens.length] = automaton.eos();
      choices.add(ended);
    }
    return new Restriction(automaton, choices);
  }

  private static boolean spells(Tokenizer tokenizer, int[] tokens, String text) {
    return tokenizer.decode(tokens).equals(text) && Arrays.stream(tokens).mapToLong(id -> tokenizer.bytes(id).length).sum()
        == text.getBytes(StandardCharsets.UTF_8).length;
  }

  /** Whether the answer is found by comparing choices, of which the longest has to fit. */
  boolean compares(int genLength) {
    return !choices.isEmpty() && choices.stream().allMatch(c -> c.length <= genLength);
  }
}
