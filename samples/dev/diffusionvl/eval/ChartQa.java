// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.List;

/** ChartQA: numbers within 5 % of the right one, other answers letter for letter but for case. A percentage is a hundredth. */
final class ChartQa implements Benchmark {
  private static final double TOLERANCE = 0.05;

  @Override
  public Question question(DataRow row) {
    return Question.of(row.id(), row.text("question") + "\nAnswer the question with a single word.", List.of(row.picture("image")),
        List.of(row.text("answer")), List.of());
  }

  @Override
  public double score(Answer answer) {
    Double said = number(answer.text());
    Double gold = number(answer.gold());
    if (said != null && gold != null && gold != 0) { // nothing is within 5 % of zero: it is compared as text
      return Math.abs(said - gold) / Math.abs(gold) <= TOLERANCE ? 1 : 0;
    }
    return answer.text().equalsIgnoreCase(answer.gold()) ? 1 : 0;
  }

  private static Double number(String text) {
    if (!text.endsWith("%")) {
      return Numbers.parse(text);
    }
    Double percent = Numbers.parse(text.replaceAll("%+$", ""));
    return percent == null ? null : percent / 100;
  }
}
