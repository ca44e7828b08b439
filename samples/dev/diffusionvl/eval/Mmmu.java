// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * MMMU and MMMU-Pro: the last choice that the answer names, by letter or by text. An answer that names none is wrong here; MMMU's own
 * evaluation draws a letter for it. Questions without choices ({@link MmmuOpen}) are told by a right answer that is no letter.
 */
abstract class Mmmu implements Benchmark {
  private static final Pattern LETTER = Pattern.compile("[A-Z]");
  private static final Pattern IMAGE = Pattern.compile("<image (\\d+)>");
  private static final String[] STRIPPED = {",", ".", "!", "?", ";", ":", "'"};

  private final int choices;
  private final Metric open; // null: all questions have choices

  /** @param choices letters that are choices where a sample does not list them, from A on */
  Mmmu(int choices, Metric open) {
    this.choices = choices;
    this.open = open;
  }

  @Override
  public double score(Answer answer) {
    boolean choice = !answer.options().isEmpty() || LETTER.matcher(answer.gold()).matches();
    if (!choice && open != null) {
      return open.score(answer);
    }
    String said = choice(answer);
    return said != null && answer.golds().contains(said) ? 1 : 0;
  }

  /** The images that a text names as {@code <image 1>}: they come before it, and the names stay. */
  static List<Picture> pictures(DataRow row, String prompt) {
    return IMAGE.matcher(prompt).results().map(found -> "image_" + found.group(1)).distinct().sorted().map(row::picture).toList();
  }

  /** The letter that the answer names, or null. */
  private String choice(Answer answer) {
    String text = answer.text();
    for (String edge : STRIPPED) {
      text = strip(text, edge);
    }
    text = " " + text + " ";
    Map<String, Integer> found = new LinkedHashMap<>(); // letter → where it was named last; the first of equals counts
    for (String letter : letters(answer)) {
      add(found, letter, text.contains("(" + letter + ")"), text.lastIndexOf("(" + letter + ")"));
    }
    for (String after : new String[] {" ", "."}) {
      for (String letter : found.isEmpty() ? letters(answer) : List.<String>of()) {
        add(found, letter, text.contains(letter + after), text.lastIndexOf(" " + letter + " "));
      }
      if (!found.isEmpty()) {
        break;
      }
    }
    if (found.isEmpty() && text.strip().split("\\s+").length > 5) {
      String lower = text.toLowerCase(Locale.ROOT);
      for (int i = 0; i < answer.options().size(); i++) {
        int at = lower.lastIndexOf(answer.options().get(i).toLowerCase(Locale.ROOT));
        add(found, Choices.letter(i), at >= 0, at);
      }
    }
    String last = null;
    for (Map.Entry<String, Integer> named : found.entrySet()) {
      last = last == null || named.getValue() > found.get(last) ? named.getKey() : last;
    }
    return last;
  }

  private static void add(Map<String, Integer> found, String letter, boolean named, int at) {
    if (named) {
      found.put(letter, at);
    }
  }

  private List<String> letters(Answer answer) {
    int count = answer.options().size();
    if (count == 0) {
      count = choices;
      for (String gold : answer.golds()) {
        count = LETTER.matcher(gold).matches() ? Math.max(count, gold.charAt(0) - 'A' + 1) : count;
      }
    }
    List<String> letters = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      letters.add(Choices.letter(i));
    }
    return letters;
  }

  private static String strip(String text, String edge) {
    int from = 0;
    int to = text.length();
    while (from < to && text.startsWith(edge, from)) {
      from++;
    }
    while (from < to && text.startsWith(edge, to - 1)) {
      to--;
    }
    return text.substring(from, to);
  }
}
