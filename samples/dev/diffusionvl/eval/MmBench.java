// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * MMBench: the one letter from A to E that stands in the answer as a word of its own, bare or in the usual punctuation; else the one choice
 * whose text is in the answer. An answer that names none or several is wrong here; MMBench's own evaluation asks a GPT model about those.
 */
final class MmBench implements Benchmark {
  private static final String LETTERS = "ABCDE";
  private static final String[][] AROUND = {{"", "."}, {"", ","}, {"", ":"}, {"", ")"}, {"", ")."}, {"(", ")"}, {"(", ")."}, {":", ""},
      {":", ","}, {":", "."}, {":", ")"}, {":", ")."}};

  @Override
  public Question question(DataRow row) {
    List<String> options = new ArrayList<>();
    StringBuilder prompt = new StringBuilder(there(row, "hint") ? row.text("hint") + " " : "").append(row.text("question"))
        .append(" There are several options:");
    for (int i = 0; i < LETTERS.length(); i++) {
      String letter = LETTERS.substring(i, i + 1);
      if (there(row, letter)) {
        prompt.append("\n").append(letter).append(". ").append(row.text(letter));
        options.add(row.text(letter));
      }
    }
    prompt.append("\n\nAnswer with the option's letter from the given choices directly.");
    return Question.of(row.id("index"), prompt.toString(), List.of(row.picture("image")), List.of(row.text("answer")), options);
  }

  /** What Pandas took for missing is called "nan" in these files. */
  private static boolean there(DataRow row, String name) {
    String text = row.optional(name);
    return text != null && !text.equals("nan");
  }

  @Override
  public double score(Answer answer) {
    String letter = letter(answer.text());
    letter = letter == null ? byText(answer) : letter;
    return answer.gold().strip().equalsIgnoreCase(letter) ? 1 : 0;
  }

  private static String letter(String text) {
    List<String> words = List.of(text.strip().split("\\s+"));
    String bare = only(words, "", "");
    // in a sentence "A" may be an article
    if (bare != null && !(words.contains("A") && words.size() > 3)) {
      return bare;
    }
    for (String[] around : AROUND) {
      String found = only(words, around[0], around[1]);
      if (found != null) {
        return found;
      }
    }
    return null;
  }

  /** The letter that is there alone, or null. */
  private static String only(List<String> words, String before, String after) {
    List<String> found = new ArrayList<>();
    for (int i = 0; i < LETTERS.length(); i++) {
      String letter = LETTERS.substring(i, i + 1);
      if (words.contains(before + letter + after)) {
        found.add(letter);
      }
    }
    return found.size() == 1 ? found.getFirst() : null;
  }

  private static String byText(Answer answer) {
    String said = answer.text().toLowerCase(Locale.ROOT);
    List<String> found = new ArrayList<>();
    for (int i = 0; i < Math.min(4, answer.options().size()); i++) {
      String option = answer.options().get(i).toLowerCase(Locale.ROOT);
      if (!option.isEmpty() && said.contains(option)) {
        found.add(LETTERS.substring(i, i + 1));
      }
    }
    return found.size() == 1 ? found.getFirst() : null;
  }
}
