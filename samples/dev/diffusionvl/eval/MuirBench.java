// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.List;

/** MuirBench: several images, whose places are in question and choices. */
final class MuirBench extends OptionLetter {
  MuirBench() {
    super(true);
  }

  @Override
  public Question question(DataRow row) {
    List<String> options = row.texts("options");
    return Question.of(row.id("idx"), prompt(row, options), row.pictures("image_list"), List.of(row.text("answer")), options);
  }
}
