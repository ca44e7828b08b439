// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.List;

/** AI2D, whose data have the number of the right choice instead of its letter. */
final class Ai2d extends OptionLetter {
  Ai2d() {
    super(false);
  }

  @Override
  public Question question(DataRow row) {
    List<String> options = row.texts("options");
    int right;
    try {
      right = Integer.parseInt(row.text("answer").strip());
    } catch (NumberFormatException e) {
      right = -1;
    }
    if (right < 0 || right >= options.size()) {
      throw row.unusable("answer", "expected the number of a choice, 0 to " + (options.size() - 1));
    }
    return Question.of(row.id(), prompt(row, options), List.of(row.picture("image")), List.of(Choices.letter(right)), options);
  }
}
