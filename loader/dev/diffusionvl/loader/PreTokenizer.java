// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * Splits text into the pieces that byte pairs are merged in (docs/model.md, "Tokenizer"). It does what this expression does,
 * leftmost alternative first, without the expression's start-up cost and backtracking:
 * <pre>
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * </pre>
 */
final class PreTokenizer {
  /** The expression as tokenizer.json spells it. */
  static final String PATTERN =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
          + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

  private final String text;

  PreTokenizer(String text) {
    this.text = text;
  }

  /** End of the piece that begins at {@code start}, which must be inside the text. */
  int pieceEnd(int start) {
    int c = text.codePointAt(start);
    if (c == '\'') {
      int end = contractionEnd(start);
      if (end > start) {
        return end;
      }
    }
    int afterFirst = start + Character.charCount(c);
    if (isLetter(c)) {
      return lettersEnd(afterFirst);
    }
    if (isNumber(c)) {
      return afterFirst;
    }
    // neither letter nor number: it may lead a word, unless it ends a line
    if (!isLineEnd(c)) {
      int end = lettersEnd(afterFirst);
      if (end > afterFirst) {
        return end;
      }
    }
    int symbols = c == ' ' ? afterFirst : start;
    int symbolsEnd = symbolsEnd(symbols);
    if (symbolsEnd > symbols) {
      return lineEndsEnd(symbolsEnd);
    }
    return whitespaceEnd(start);
  }

  /** {@code 's 't 're 've 'm 'll 'd} in any case; U+017F is another lower case of S. Returns start if there is none. */
  private int contractionEnd(int start) {
    char first = folded(start + 1);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') {
      return start + 2;
    }
    char second = folded(start + 2);
    boolean two = first == 'r' && second == 'e' || first == 'v' && second == 'e' || first == 'l' && second == 'l';
    return two ? start + 3 : start;
  }

  private char folded(int index) {
    if (index >= text.length()) {
      return 0;
    }
    char c = text.charAt(index);
    return c == '\u017f' ? 's' : c < 0x80 ? Character.toLowerCase(c) : 0;
  }

  private int lettersEnd(int from) {
    int i = from;
    while (i < text.length() && isLetter(text.codePointAt(i))) {
      i += Character.charCount(text.codePointAt(i));
    }
    return i;
  }

  private int symbolsEnd(int from) {
    int i = from;
    while (i < text.length()) {
      int c = text.codePointAt(i);
      if (isWhitespace(c) || isLetter(c) || isNumber(c)) {
        break;
      }
      i += Character.charCount(c);
    }
    return i;
  }

  private int lineEndsEnd(int from) {
    int i = from;
    while (i < text.length() && isLineEnd(text.charAt(i))) {
      i++;
    }
    return i;
  }

  /**
   * A run of whitespace: up to its last line end if it has one, else without its last character if a word follows,
   * which then takes that character along.
   */
  private int whitespaceEnd(int start) {
    int end = start;
    int afterLineEnd = start;
    // every Unicode whitespace character is a single char
    while (end < text.length() && isWhitespace(text.charAt(end))) {
      if (isLineEnd(text.charAt(end))) {
        afterLineEnd = end + 1;
      }
      end++;
    }
    if (afterLineEnd > start) {
      return afterLineEnd;
    }
    return end == text.length() || end - start == 1 ? end : end - 1;
  }

  private static boolean isLineEnd(int c) {
    return c == '\r' || c == '\n';
  }

  private static boolean isLetter(int c) {
    if (c < 0x80) {
      return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z';
    }
    return Character.isLetter(c);
  }

  private static boolean isNumber(int c) {
    if (c < 0x80) {
      return c >= '0' && c <= '9';
    }
    int type = Character.getType(c);
    return type == Character.DECIMAL_DIGIT_NUMBER || type == Character.LETTER_NUMBER || type == Character.OTHER_NUMBER;
  }

  /** The Unicode property White_Space. */
  static boolean isWhitespace(int c) {
    return c == ' ' || c >= 0x09 && c <= 0x0d || c == 0x85 || c == 0xa0 || c == 0x1680 || c >= 0x2000 && c <= 0x200a
        || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
  }
}
