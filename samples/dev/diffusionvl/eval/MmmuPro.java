// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.List;

/** MMMU-Pro's questions with up to ten choices, as text or, with the choices, as an image. */
final class MmmuPro extends Mmmu {
  private static final String ASKED = "Answer with the option letter from the given choices directly.";

  private final boolean vision;

  MmmuPro(boolean vision) {
    super(10, null);
    this.vision = vision;
  }

  @Override
  public Question question(DataRow row) {
    List<String> options = row.texts("options");
    String prompt = vision ? ASKED : row.text("question") + "\n" + Choices.lines(options) + "\n\n" + ASKED;
    List<Picture> pictures = vision ? List.of(row.picture("image")) : pictures(row, prompt);
    return Question.of(row.id("id"), prompt, pictures, List.of(row.text("answer")), options);
  }
}
