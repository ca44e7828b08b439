// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.ArrayList;
import java.util.List;

/** One's own questions: the whole answer, but for white space around it. */
final class Exact implements Benchmark {
  @Override
  public Question question(DataRow row) {
    List<Picture> pictures = new ArrayList<>(row.pictures("image"));
    pictures.addAll(row.pictures("images"));
    List<String> golds = row.isList("answer") ? row.texts("answer") : List.of(row.text("answer"));
    if (golds.isEmpty()) {
      throw row.missing("answer");
    }
    return Question.of(row.id("id"), row.text("question"), pictures, golds, List.of());
  }

  @Override
  public double score(Answer answer) {
    return answer.golds().stream().anyMatch(gold -> gold.strip().equals(answer.text().strip())) ? 1 : 0;
  }
}
