// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ChatPrompt.Turn;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * MME: two questions per image, yes or no. An image is worth 50 points per right answer and 100 more when both are; a category is worth the
 * mean of its images, perception and cognition the sum of their categories.
 */
final class Mme implements Benchmark {
  private static final Set<String> COGNITION =
      Set.of("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning");
  private static final Set<String> PERCEPTION = Set.of("existence", "count", "position", "color", "posters", "celebrity", "scene",
      "landmark",
      "artwork", "ocr");

  @Override
  public Question question(DataRow row) {
    String prompt = row.text("question").strip().replace(" Please answer yes or no.", "")
        + "\nAnswer the question using a single word or phrase.";
    String image = row.text("question_id");
    return new Question(image, List.of(new Turn(true, prompt)), List.of(row.picture("image")), List.of(row.text("answer")),
        row.text("category"), image, List.of());
  }

  @Override
  public double score(Answer answer) {
    String gold = plain(answer.gold());
    if (!gold.equals("yes") && !gold.equals("no")) {
      throw new BadInputException("sample " + answer.id() + ": gold: '" + answer.gold() + "' is neither yes nor no");
    }
    return said(plain(answer.text())).equals(gold) ? 1 : 0;
  }

  private static String plain(String text) {
    return text.toLowerCase(Locale.ROOT).strip().replace(".", "");
  }

  /** What the first four characters say, or what a single letter does. */
  private static String said(String text) {
    if (text.length() == 1) {
      return text.equals("y") ? "yes" : text.equals("n") ? "no" : "other";
    }
    String begin = text.substring(0, Math.min(4, text.length()));
    return begin.contains("yes") ? "yes" : begin.contains("no") ? "no" : "other";
  }

  /** Those whose question's other half is there too. */
  @Override
  public List<Answer> complete(List<Answer> answers) {
    Map<List<String>, Long> count = answers.stream().collect(Collectors.groupingBy(Mme::image, Collectors.counting()));
    return answers.stream().filter(answer -> count.get(image(answer)) == 2).toList();
  }

  private static List<String> image(Answer answer) {
    if (answer.category() == null || answer.questionId() == null) {
      throw new BadInputException("sample " + answer.id() + ": " + (answer.category() == null ? "category" : "question_id")
          + ": missing");
    }
    return List.of(answer.category(), answer.questionId());
  }

  @Override
  public Map<String, Double> total(List<Answer> answers, double[] scores) {
    Map<String, Map<String, List<Double>>> categories = new LinkedHashMap<>();
    for (int i = 0; i < scores.length; i++) {
      Answer answer = answers.get(i);
      List<String> image = image(answer);
      categories.computeIfAbsent(image.get(0), c -> new LinkedHashMap<>()).computeIfAbsent(image.get(1), q -> new ArrayList<>())
          .add(scores[i]);
    }
    Map<String, Double> total = new LinkedHashMap<>();
    total.put("score", 0.0);
    total.put("perception", 0.0);
    total.put("cognition", 0.0);
    categories.forEach((category, pairs) -> {
      double points = 0;
      for (Map.Entry<String, List<Double>> pair : pairs.entrySet()) {
        if (pair.getValue().size() != 2) {
          throw new BadInputException("question_id " + pair.getKey() + " of " + category + ": " + pair.getValue().size()
              + " answers; MME asks two questions per image");
        }
        double right = pair.getValue().get(0) + pair.getValue().get(1);
        points += 50 * right + (right == 2 ? 100 : 0);
      }
      double mean = points / pairs.size();
      total.merge("score", mean, Double::sum);
      total.merge(part(category), mean, Double::sum);
      total.put(category, mean);
    });
    return total;
  }

  private static String part(String category) {
    String name = category.toLowerCase(Locale.ROOT);
    if (!COGNITION.contains(name) && !PERCEPTION.contains(name)) {
      throw new BadInputException("category '" + category + "' is none of MME's");
    }
    return COGNITION.contains(name) ? "cognition" : "perception";
  }
}
