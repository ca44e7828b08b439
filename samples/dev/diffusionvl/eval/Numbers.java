// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.Locale;
import java.util.regex.Pattern;

/** Numbers in text as Python reads and rounds them: the published figures were made so. */
final class Numbers {
  private static final Pattern DECIMAL = Pattern.compile("[+-]?(\\d+(_\\d+)*\\.?(\\d+(_\\d+)*)?|\\.\\d+(_\\d+)*)([eE][+-]?\\d+(_\\d+)*)?");
  private static final Pattern INFINITE = Pattern.compile("[+-]?inf(inity)?");
  private static final Pattern NAN = Pattern.compile("[+-]?nan");

  private Numbers() {}

  /** The number, or null if the text is none. A comma is part of none. */
  static Double parse(String text) {
    String number = text.strip().toLowerCase(Locale.ROOT);
    if (DECIMAL.matcher(number).matches()) {
      return Double.parseDouble(number.replace("_", ""));
    }
    if (INFINITE.matcher(number).matches()) {
      return number.startsWith("-") ? Double.NEGATIVE_INFINITY : Double.POSITIVE_INFINITY;
    }
    return NAN.matcher(number).matches() ? Double.NaN : null;
  }

  /** Rounded to two decimals, from the exact binary value, ties to even. */
  static double round2(double value) {
    return Double.isFinite(value) ? new BigDecimal(value).setScale(2, RoundingMode.HALF_EVEN).doubleValue() : value;
  }
}
