// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import dk.brics.automaton.Automaton;
import dk.brics.automaton.BasicAutomata;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.List;

/**
 * Numbers as JSON writes them, without exponents, between bounds. Where the bounds ask for no more, a number has up to
 * {@value #DIGITS} digits before the point and as many behind it, which a double tells apart or nearly so.
 */
final class Decimals {
  private static final int DIGITS = 15;

  private final int whole; // most digits before the point

  private Decimals(int whole) {
    this.whole = whole;
  }

  /**
   * @param low null: none
   * @param high null: none
   * @param aboveLow the number may not be the bound itself
   */
  static Automaton between(BigDecimal low, boolean aboveLow, BigDecimal high, boolean belowHigh, boolean integers) {
    Decimals decimals = new Decimals(Math.max(DIGITS, Math.max(digits(low), digits(high))));
    Automaton all = decimals.range(low, aboveLow, high, belowHigh);
    boolean belowZero = high != null && high.signum() < 0; // otherwise the sign says that it is not zero
    Automaton negative = BasicAutomata.makeChar('-').concatenate(decimals.range(belowZero ? high.negate() : BigDecimal.ZERO,
        !belowZero || belowHigh, low == null ? null : low.negate(), aboveLow));
    Automaton both = all.union(negative);
    return Reduced.of(integers ? Reduced.intersection(both, decimals.integers()) : both);
  }

  private static int digits(BigDecimal bound) {
    int count = bound == null ? 0 : bound.precision() - bound.scale();
    Reduced.requireFew(count);
    return count;
  }

  private Automaton integers() {
    return BasicAutomata.makeChar('-').optional().concatenate(wholes());
  }

  private static Automaton digit(int from, int to) {
    return from > to ? BasicAutomata.makeEmpty() : BasicAutomata.makeCharRange((char) ('0' + from), (char) ('0' + to));
  }

  private static Automaton digits(int min, int max) {
    return digit(0, 9).repeat(min, max);
  }

  /** Digits before the point: no zero in front. */
  private Automaton wholes() {
    return digit(0, 0).union(digit(1, 9).concatenate(digits(0, whole - 1)));
  }

  private static Automaton point() {
    return BasicAutomata.makeChar('.');
  }

  /** A point and digits, or nothing. */
  private static Automaton anyFraction() {
    return point().concatenate(digits(1, DIGITS)).optional();
  }

  /** Numbers without a sign within the bounds. */
  private Automaton range(BigDecimal low, boolean aboveLow, BigDecimal high, boolean belowHigh) {
    Automaton all = wholes().concatenate(anyFraction());
    if (high != null && (high.signum() < 0 || high.signum() == 0 && belowHigh)) {
      return BasicAutomata.makeEmpty();
    }
    if (high != null) {
      all = Reduced.intersection(all, compared(high, false, belowHigh));
    }
    if (low != null && (low.signum() > 0 || low.signum() == 0 && aboveLow)) {
      all = Reduced.intersection(all, compared(low, true, aboveLow));
    }
    return all;
  }

  /** Numbers without a sign on one side of a bound that is not negative. */
  private Automaton compared(BigDecimal bound, boolean above, boolean strictly) {
    String integer = bound.setScale(0, RoundingMode.DOWN).toPlainString();
    String text = bound.stripTrailingZeros().toPlainString();
    String fraction = text.contains(".") ? text.substring(text.indexOf('.') + 1) : "";
    Automaton others = wholesBeside(integer, above).concatenate(anyFraction());
    return others.union(BasicAutomata.makeString(integer).concatenate(fractions(fraction, above, strictly)));
  }

  /** Whole numbers above or below one. */
  private Automaton wholesBeside(String bound, boolean above) {
    List<Automaton> all = new ArrayList<>();
    for (int i = 0; i < bound.length(); i++) {
      int digit = bound.charAt(i) - '0';
      int first = i == 0 && bound.length() > 1 ? 1 : 0;
      Automaton here = above ? digit(digit + 1, 9) : digit(first, digit - 1);
      all.add(BasicAutomata.makeString(bound.substring(0, i)).concatenate(here)
          .concatenate(digits(bound.length() - i - 1, bound.length() - i - 1)));
    }
    if (above && bound.length() < whole) {
      all.add(digit(1, 9).concatenate(digits(bound.length(), whole - 1)));
    } else if (!above && bound.length() > 1) {
      all.add(digit(0, 0).union(digit(1, 9).concatenate(digits(0, bound.length() - 2))));
    }
    return Automaton.union(all);
  }

  /**
   * What may follow the bound's own whole part.
   *
   * @param bound digits behind the bound's point, the last one no zero
   */
  private static Automaton fractions(String bound, boolean above, boolean strictly) {
    int longest = Math.max(DIGITS, bound.length());
    List<Automaton> all = new ArrayList<>();
    for (int i = 0; i < bound.length(); i++) {
      int digit = bound.charAt(i) - '0';
      all.add(point().concatenate(BasicAutomata.makeString(bound.substring(0, i)))
          .concatenate(above ? digit(digit + 1, 9) : digit(0, digit - 1)).concatenate(digits(0, longest - i - 1)));
      if (!above) { // cut short it is less
        all.add(i == 0 ? BasicAutomata.makeEmptyString() : point().concatenate(BasicAutomata.makeString(bound.substring(0, i))));
      }
    }
    int left = longest - bound.length();
    Automaton zeros = BasicAutomata.makeChar('0').repeat(0, left);
    Automaton more = left == 0 ? BasicAutomata.makeEmpty()
        : BasicAutomata.makeChar('0').repeat(0, left - 1).concatenate(digit(1, 9)).concatenate(digits(0, left - 1));
    if (above) {
      all.add(behind(bound, more));
    }
    if (!strictly) {
      all.add(behind(bound, zeros));
    }
    return Automaton.union(all);
  }

  private static Automaton behind(String bound, Automaton rest) {
    Automaton all = point().concatenate(BasicAutomata.makeString(bound)).concatenate(rest);
    // without digits there is no point either
    return bound.isEmpty() ? all.intersection(point().concatenate(digits(1, 2 * DIGITS))).union(rest.intersection(
        BasicAutomata.makeEmptyString())) : all;
  }
}
