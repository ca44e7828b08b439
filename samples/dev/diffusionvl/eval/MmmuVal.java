// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.List;

/** MMMU's questions, most with choices. */
final class MmmuVal extends Mmmu {
  MmmuVal() {
    super(4, new MmmuOpen());
  }

  @Override
  public Question question(DataRow row) {
    List<String> options = row.texts("options");
    boolean choice = row.text("question_type").equals("multiple-choice");
    String prompt = row.text("question") + (choice ? "\n" + Choices.lines(options) + "\n\nAnswer with the option's letter from the given "
        + "choices directly." : "\n\nAnswer the question using a single word or phrase.");
    String gold = row.text("answer");
    List<String> golds = gold.startsWith("[") ? row.texts("answer") : List.of(gold);
    return Question.of(row.id("id"), prompt, pictures(row, prompt), golds, choice ? options : List.of());
  }
}
