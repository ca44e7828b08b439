// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * MMMU's questions without choices: the right answer is a number that the answer's key phrases hold, or a text that one of them contains.
 * Numbers are compared with two decimals, without thousands separators.
 */
final class MmmuOpen implements Metric {
  private static final List<String> INDICATORS =
      List.of("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ");
  private static final Set<String> TRIVIAL = Set.of(":", ",", ".", "!", "?", ";", "'");
  private static final Pattern SENTENCES = Pattern.compile("\\.\\s(?=[A-Z])|\n");
  private static final List<Pattern> NUMBERS = List.of(Pattern.compile("-?\\b\\d{1,3}(?:,\\d{3})+\\b"),
      Pattern.compile("-?\\d+(?:\\.\\d+)?[eE][+-]?\\d+"),
      Pattern.compile("-?(?:\\d+\\.\\d+|\\.\\d+|\\d+\\b)(?![eE][+-]?\\d+)(?![,\\d])"));

  @Override
  public double score(Answer answer) {
    List<Object> golds = new ArrayList<>(); // texts and numbers
    answer.golds().forEach(gold -> golds.addAll(normalized(gold)));
    for (Object said : said(answer.text())) {
      boolean right = said instanceof String text
          ? golds.stream().anyMatch(gold -> gold instanceof String part && text.contains(part)) : golds.contains(said);
      if (right) {
        return 1;
      }
    }
    return 0;
  }

  private static List<Object> said(String text) {
    List<String> phrases = keyPhrases(text);
    List<Object> all = new ArrayList<>();
    phrases.forEach(phrase -> all.addAll(normalized(phrase)));
    for (String phrase : phrases) {
      for (Pattern number : NUMBERS) {
        for (Matcher found = number.matcher(phrase); found.find(); ) {
          all.addAll(normalized(found.group()));
        }
      }
    }
    return all;
  }

  /** Per sentence the shortest text behind an indicator; the whole answer if there is none. */
  private static List<String> keyPhrases(String text) {
    String whole = text.strip().replaceAll("^\\.+|\\.+$", "").toLowerCase(Locale.ROOT);
    String[] sentences = SENTENCES.split(whole, -1);
    List<String> phrases = new ArrayList<>();
    for (int i = 0; i < sentences.length; i++) {
      List<String> indicators = new ArrayList<>(INDICATORS);
      if (i == sentences.length - 1) {
        indicators.add("=");
      }
      String shortest = "";
      for (String indicator : indicators) {
        int at = sentences[i].lastIndexOf(indicator);
        String tail = at < 0 ? null : sentences[i].substring(at + indicator.length()).strip();
        shortest = tail != null && (shortest.isEmpty() || tail.length() < shortest.length()) ? tail : shortest;
      }
      if (!shortest.isEmpty() && !TRIVIAL.contains(shortest)) {
        phrases.add(shortest);
      }
    }
    return phrases.isEmpty() ? List.of(whole) : phrases;
  }

  /** A number with two decimals, else the text in lower case; a single letter needs a space beside it, so that no word contains it. */
  private static List<Object> normalized(String text) {
    String stripped = text.strip();
    Double number = Numbers.parse(stripped.replace(",", ""));
    if (number != null) {
      return List.of(Numbers.round2(number) + 0.0); // no negative zero
    }
    String lower = stripped.toLowerCase(Locale.ROOT);
    return lower.length() == 1 ? List.of(" " + lower, lower + " ") : List.of(lower);
  }
}
