// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import dev.diffusionvl.loader.ChatPrompt.Turn;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** MMStar: the letter that the answer begins with, or that follows "(", "option " or "the answer is ". */
final class MmStar implements Benchmark {
  private static final String[] LEADS = {"", "(", "option ", "the answer is "};

  @Override
  public Question question(DataRow row) {
    String prompt = row.text("question").strip() + "\nAnswer with the option's letter from the given choices directly";
    return new Question(row.id("index"), List.of(new Turn(true, prompt)), List.of(row.picture("image")), List.of(row.text("answer")),
        row.optional("l2_category"), null, List.of());
  }

  @Override
  public double score(Answer answer) {
    String said = plain(answer.text());
    String gold = plain(answer.gold());
    for (String lead : LEADS) {
      if (said.startsWith(lead) && said.length() > lead.length() && gold.equals(said.substring(lead.length(), lead.length() + 1))) {
        return 1;
      }
    }
    return 0;
  }

  /** Where all categories are known, the mean of their means, as the benchmark has it. */
  @Override
  public Map<String, Double> total(List<Answer> answers, double[] scores) {
    if (answers.stream().anyMatch(answer -> answer.category() == null)) {
      return Benchmark.super.total(answers, scores);
    }
    Map<String, double[]> categories = new TreeMap<>(); // sum and number
    for (int i = 0; i < scores.length; i++) {
      double[] category = categories.computeIfAbsent(answers.get(i).category(), name -> new double[2]);
      category[0] += scores[i];
      category[1]++;
    }
    Map<String, Double> total = new LinkedHashMap<>();
    total.put("score", categories.values().stream().mapToDouble(c -> c[0] / c[1]).average().orElseThrow());
    return total;
  }

  private static String plain(String text) {
    return text.toLowerCase(Locale.ROOT).strip().replace('\n', ' ');
  }
}
