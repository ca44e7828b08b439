// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import java.util.function.Supplier;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/** The part of {@link Regex} that stands for one character: itself, an escape, a class in brackets. */
final class RegexClasses {
  private static final String SPACES = "\t\n\u000b\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff";
  private static final String LINE_ENDS = "\n\r\u2028\u2029";

  private final Regex regex;

  RegexClasses(Regex regex) {
    this.regex = regex;
  }

  /** The characters that the next item stands for. */
  CharacterSet next() {
    int c = regex.take();
    return switch (c) {
      case '.' -> of(LINE_ENDS).complement();
      case '[' -> brackets();
      case '\\' -> escape(false);
      default -> CharacterSet.of(c, c);
    };
  }

  private static CharacterSet of(String characters) {
    CharacterSet set = new CharacterSet();
    characters.codePoints().forEach(c -> set.add(c, c));
    return set;
  }

  private CharacterSet brackets() {
    boolean negated = regex.accept('^');
    CharacterSet set = new CharacterSet();
    while (!regex.accept(']')) {
      CharacterSet from = bracketItem();
      int first = single(from);
      if (regex.peek() == '-' && first >= 0) {
        regex.take();
        if (regex.peek() == ']') {
          set.add('-', '-');
        } else {
          int last = single(bracketItem());
          if (last < first) {
            throw regex.error("a range of characters is out of order");
          }
          set.add(first, last);
          continue;
        }
      }
      set.add(from);
    }
    return negated ? set.complement() : set;
  }

  private CharacterSet bracketItem() {
    int c = regex.take();
    return c == '\\' ? escape(true) : CharacterSet.of(c, c);
  }

  /** The one character of a set, else −1. */
  private static int single(CharacterSet set) {
    int[] found = {-2};
    set.forEach((from, to) -> found[0] = found[0] == -2 && from == to ? from : -1);
    return Math.max(-1, found[0]);
  }

  private CharacterSet escape(boolean inBrackets) {
    int c = regex.take();
    Supplier<CharacterSet> set = switch (c) {
      case 'd', 'D' -> () -> CharacterSet.of('0', '9');
      case 'w', 'W' -> () -> CharacterSet.of('a', 'z').add('A', 'Z').add('0', '9').add('_', '_');
      case 's', 'S' -> () -> of(SPACES).add(0x2000, 0x200a);
      case 'p', 'P' -> this::property;
      default -> null;
    };
    if (set != null) {
      CharacterSet found = set.get();
      return Character.isUpperCase(c) ? found.complement() : found;
    }
    int one = character(c, inBrackets);
    return CharacterSet.of(one, one);
  }

  private int character(int c, boolean inBrackets) {
    return switch (c) {
      case 't' -> '\t';
      case 'n' -> '\n';
      case 'r' -> '\r';
      case 'f' -> '\f';
      case 'v' -> 0x0b;
      case '0' -> 0;
      case 'x' -> hex(2);
      case 'u' -> unicode();
      case 'c' -> regex.take() & 0x1f;
      case 'b' -> {
        if (!inBrackets) {
          throw regex.error("word boundaries, \\b, are not supported");
        }
        yield '\b';
      }
      default -> {
        if (c >= '1' && c <= '9' || c == 'k') {
          throw regex.error("references back, \\" + (char) c + ", are not supported");
        }
        if (Character.isLetterOrDigit(c)) {
          throw regex.error("\\" + Character.toString(c) + " is not supported");
        }
        yield c;
      }
    };
  }

  private int hex(int digits) {
    Integer value = regex.takeHex(digits);
    if (value == null) {
      throw regex.error("expected " + digits + " hexadecimal digits");
    }
    return value;
  }

  private int unicode() {
    if (regex.accept('{')) {
      String digits = regex.takeUntil('}');
      if (!digits.matches("0*[0-9a-fA-F]{1,6}") || Integer.parseInt(digits, 16) > Characters.LAST) {
        throw regex.error("\\u{" + digits + "} is no character");
      }
      return Integer.parseInt(digits, 16);
    }
    int first = hex(4);
    if (Character.isHighSurrogate((char) first) && regex.accept('\\')) {
      if (!regex.accept('u')) {
        throw regex.error("half of a character");
      }
      return Character.toCodePoint((char) first, (char) hex(4));
    }
    return first;
  }

  private CharacterSet property() {
    if (!regex.accept('{')) {
      throw regex.error("expected { behind \\p");
    }
    String name = regex.takeUntil('}');
    try {
      Pattern property = Pattern.compile("\\p{" + name + "}");
      return CharacterSet.where(c -> property.matcher(Character.toString(c)).matches());
    } catch (PatternSyntaxException e) {
      throw regex.error("the property \\p{" + name + "} is not supported");
    }
  }
}
