// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** However a text is cut into pieces, what comes out ends in front of the first stop string. */
class StopStringsTest {
  @Test
  void anyPiecesGiveTheSame() {
    Random random = new Random(1);
    for (int round = 0; round < 20_000; round++) {
      String text = word(random, 12);
      List<String> stops = List.of(word(random, 3) + "a", word(random, 2) + "b");
      String expected = expected(text, stops);
      StopStrings matcher = new StopStrings(stops);
      StringBuilder out = new StringBuilder();
      for (int i = 0; i < text.length(); ) {
        int n = Math.min(1 + random.nextInt(4), text.length() - i);
        out.append(matcher.accept(text.substring(i, i + n)));
        i += n;
      }
      out.append(matcher.finish());
      assertEquals(expected, out.toString(), () -> text + " " + stops);
    }
  }

  /** As if the text came letter by letter. */
  private static String expected(String text, List<String> stops) {
    for (int end = 1; end <= text.length(); end++) {
      String come = text.substring(0, end);
      int longest = stops.stream().filter(come::endsWith).mapToInt(String::length).max().orElse(0);
      if (longest > 0) {
        return come.substring(0, end - longest);
      }
    }
    return text;
  }

  private static String word(Random random, int most) {
    StringBuilder word = new StringBuilder();
    for (int n = random.nextInt(most + 1); n > 0; n--) {
      word.append((char) ('a' + random.nextInt(2)));
    }
    return word.toString();
  }
}
