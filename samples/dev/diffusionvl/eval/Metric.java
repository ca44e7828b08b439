// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** How right answers are. Stateless, safe for several threads. */
@FunctionalInterface
public interface Metric {
  /** Score of one answer: 1 right, 0 wrong. */
  double score(Answer answer);

  /** Of some answers those that {@link #total} can count: all, unless an answer counts only together with another. */
  default List<Answer> complete(List<Answer> answers) {
    return answers;
  }

  /**
   * The task's figures, of which the one called {@code score} is what tables print: here the mean, 0 to 1.
   *
   * @param answers all of them, at least one
   * @param scores of the answers, in their order
   */
  default Map<String, Double> total(List<Answer> answers, double[] scores) {
    double sum = 0;
    for (double score : scores) {
      sum += score;
    }
    Map<String, Double> total = new LinkedHashMap<>();
    total.put("score", sum / scores.length);
    return total;
  }
}
