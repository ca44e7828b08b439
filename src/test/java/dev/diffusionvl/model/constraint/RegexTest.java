// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.BadInputException;
import java.util.List;
import java.util.Random;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Regular expressions against the JDK's. */
class RegexTest {
  private static final long SEED = Long.getLong("test.seed", 1L);
  private static final String LETTERS = "abAB01_- .\n\té€😀\"\\/x";

  @ParameterizedTest
  @ValueSource(strings = {"", "a", "a|b|", "a*b+c?", "(ab){2,3}", "[a-c]{0,2}x", "[^a-z]+", "\\d+\\.\\d{2}", "\\w\\W\\s\\S", ".*", "^a.b$",
      "(?:a|^b)0", "a\\u00e9|\\x41", "[\\d_\\-]+", "[a\\]b]", "é+€?", "(?<year>[0-9]{4})-a", "[€-😀]", "😀{2}", "a{2}|b{1,}", "\\.\\*\\\\",
      "[.*+]", "a.|.b", "(a*)*b", "(|a)+", "[ab]{3,}?"})
  void isWhatTheJdkMatches(String pattern) {
    Constraint constraint = Constraint.regex(pattern);
    Pattern expected = Pattern.compile(pattern.replaceAll("\\(\\?<year>", "("));
    Random random = new Random(SEED);
    int[] letters = LETTERS.codePoints().toArray();
    for (int i = 0; i < 4000; i++) {
      StringBuilder text = new StringBuilder();
      for (int n = random.nextInt(7); n > 0; n--) {
        text.appendCodePoint(letters[random.nextInt(random.nextInt(letters.length) + 1)]);
      }
      assertEquals(expected.matcher(text).matches(), constraint.allows(text.toString()), () -> pattern + " on " + text);
    }
  }

  @Test
  void searchFindsAMatchAnywhere() {
    for (String pattern : List.of("a", "^a", "a$", "^a$", "^a|b$", "x?", "^(a|b)c", "a^|b")) {
      String schema = JsonText.of(java.util.Map.of("type", "string", "pattern", pattern));
      Constraint constraint = Constraint.jsonSchema(schema);
      for (String text : List.of("", "a", "b", "ab", "ba", "xax", "ac", "bc", "abc", "\"a\\", "a\n")) {
        // a JDK's $ takes a last line end as well
        boolean expected = Pattern.compile(pattern.replace("$", "\\z")).matcher(text).find();
        assertEquals(expected, constraint.allows(JsonText.of(text)), pattern + " on " + text);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"(?=a)b", "(?!a)", "(?<=a)b", "\\bword", "(a)\\1", "(", "a)", "*a", "a**", "[z-a]", "a{3,1}", "\\q", "\\p{Nope}",
      "[a", "a\\", "\\u{110000}", "{1}", "a^b", "[]"})
  void refusesInOneLine(String pattern) {
    String message = assertThrows(BadInputException.class, () -> Constraint.regex(pattern)).getMessage();
    assertTrue(message.startsWith("regular expression " + pattern + ": ") && message.lines().count() == 1, message);
  }

  @ParameterizedTest
  @ValueSource(strings = {".*a.{25}b", "(a|b)*a(a|b){30}", "(.{500}){500}", "a{999999999}", "((((a{60}){60}){60}){60}){60}"})
  void refusesWhatIsTooLarge(String pattern) {
    long start = System.nanoTime();
    String message = assertThrows(BadInputException.class, () -> Constraint.regex(pattern)).getMessage();
    assertTrue(message.startsWith("constraint: too large"), message);
    assertTrue(System.nanoTime() - start < 25e9, "it took too long to refuse " + pattern);
  }

  @Test
  void knowsPropertiesOfCharacters() {
    Constraint letters = Constraint.regex("\\p{Lu}\\p{L}*");
    assertTrue(letters.allows("Éa") && letters.allows("Ωμέγα") && !letters.allows("éa") && !letters.allows("A1"));
  }
}
