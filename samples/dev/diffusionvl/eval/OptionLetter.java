// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** AI2D and MuirBench: the letter of the right choice. "B. the leaf" counts as B. */
abstract class OptionLetter implements Benchmark {
  private static final Pattern BEGINS = Pattern.compile("\\s*([A-Z])\\.");
  private static final Pattern PUNCTUATION = Pattern.compile("\\p{Punct}");

  private final boolean punctuation;

  /** @param punctuation whether punctuation counts: without it "(B)" is B too */
  OptionLetter(boolean punctuation) {
    this.punctuation = punctuation;
  }

  @Override
  public double score(Answer answer) {
    Matcher letter = BEGINS.matcher(answer.text());
    String said = letter.lookingAt() ? letter.group(1) : answer.text();
    return plain(said).equals(plain(answer.gold())) ? 1 : 0;
  }

  private String plain(String text) {
    String lower = text.toLowerCase(Locale.ROOT);
    return punctuation ? lower.strip() : PUNCTUATION.matcher(lower).replaceAll("");
  }

  static String prompt(DataRow row, List<String> options) {
    return row.text("question") + "\n" + Choices.lines(options) + "\nAnswer with the option's letter from the given choices directly.";
  }
}
