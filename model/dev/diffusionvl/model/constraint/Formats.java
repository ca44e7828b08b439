// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** What the keyword {@code format} asks of a string, as regular expressions. They may be narrower than the format, and never wider. */
final class Formats {
  private static final String LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)";
  private static final String DATE = "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
      + "|02-(?:0[1-9]|1[0-9]|2[0-8]))|" + LEAP_YEAR + "-02-29)";
  private static final String TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-](?:0[0-9]|1[0-7]):[0-5][0-9])";
  private static final String HEX = "[0-9a-fA-F]";
  private static final String PART = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";

  private static final String LABEL = "[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20})?";

  private static final Map<String, String> PATTERNS = Map.of(
      "date", DATE,
      "time", TIME,
      "date-time", DATE + "T" + TIME,
      "uuid", HEX + "{8}-" + HEX + "{4}-" + HEX + "{4}-" + HEX + "{4}-" + HEX + "{12}",
      "ipv4", PART + "(?:\\." + PART + "){3}",
      "email", "[A-Za-z0-9]{1,20}(?:[._+-][A-Za-z0-9]{1,20}){0,2}@(?:" + LABEL + "\\.){1,3}(?:" + topLevels() + ")");

  /** Those whose pattern leaves out no string of the format. */
  private static final Set<String> COMPLETE = Set.of("date", "uuid", "ipv4");

  private Formats() {}

  /** The oldest domains and those of countries: of longer names there are new ones each year. */
  private static String topLevels() {
    List<String> without = List.of("BL", "BQ", "EH", "GB", "MF", "UM");
    return Arrays.stream(Locale.getISOCountries()).filter(c -> !without.contains(c)).map(c -> c.toLowerCase(Locale.ROOT))
        .collect(Collectors.joining("|", "com|org|net|edu|gov|mil|int|info|biz|name|uk|eu|", ""));
  }

  /** Null where the format is not supported. */
  static String pattern(String format) {
    return PATTERNS.get(format);
  }

  static boolean isComplete(String format) {
    return COMPLETE.contains(format);
  }
}
