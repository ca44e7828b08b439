// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;

/** RealWorldQA: number words become digits, punctuation goes, a choice's text becomes its letter; then letter for letter but for case. */
final class RealWorldQa implements Benchmark {
  private static final List<String> WORDS =
      List.of("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten");
  private static final Pattern PUNCTUATION = Pattern.compile("[^\\w\\s]", Pattern.UNICODE_CHARACTER_CLASS);
  private static final Pattern ASCII_PUNCTUATION = Pattern.compile("\\p{Punct}");
  private static final Pattern CHOICE = Pattern.compile("\\b[A-Z]\\.\\s+([^\\n]*)");

  @Override
  public Question question(DataRow row) {
    String prompt = row.text("question");
    List<String> options = CHOICE.matcher(prompt).results().map(choice -> choice.group(1).strip()).toList();
    return Question.of(row.id(), prompt.strip(), List.of(row.picture("image")), List.of(row.text("answer")), options);
  }

  @Override
  public double score(Answer answer) {
    int word = WORDS.indexOf(answer.text().toLowerCase(Locale.ROOT));
    String said = PUNCTUATION.matcher(word >= 0 ? Integer.toString(word) : answer.text()).replaceAll("").strip();
    int first = Integer.MAX_VALUE;
    String letter = null;
    for (int i = 0; i < answer.options().size(); i++) {
      String option = answer.options().get(i).strip();
      int at = option.isEmpty() ? -1 : said.indexOf(option);
      if (at >= 0 && at < first) {
        first = at;
        letter = String.valueOf((char) ('A' + i));
      }
    }
    said = letter != null ? letter : said;
    return plain(said).equals(plain(answer.gold())) ? 1 : 0;
  }

  private static String plain(String text) {
    return ASCII_PUNCTUATION.matcher(text.toLowerCase(Locale.ROOT)).replaceAll("").strip();
  }
}
