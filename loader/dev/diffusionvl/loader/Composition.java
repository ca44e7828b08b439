// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.text.Normalizer;

/**
 * NFC in time proportional to the text. The JDK sorts the combining marks behind a letter one by one, so that its time grows with the
 * square of their number; and a stranger chooses that number.
 */
final class Composition {
  /** Combining marks that may follow each other. The most that any writing has is below 30. */
  static final int MAX_MARKS = 128;
  /** Hangul vowels and final consonants, which are no marks but become one with what stands before them. */
  private static final int FIRST_JAMO = 0x1160;
  private static final int LAST_JAMO = 0x11ff;
  /** A vowel sign of Kirat Rai, which counts as a letter and composes all the same. */
  private static final int KIRAT_RAI_AI = 0x16d67;
  private static final int PIECE = 4096;

  private Composition() {}

  /** @throws BadInputException if more than {@link #MAX_MARKS} combining marks follow each other */
  static String nfc(CharSequence text) {
    requireFewMarks(text);
    StringBuilder out = new StringBuilder(text.length());
    for (int start = 0; start < text.length();) {
      int end = Math.min(text.length(), start + PIECE);
      while (end < text.length() && joins(Character.codePointAt(text, end))) {
        end++;
      }
      out.append(Normalizer.normalize(text.subSequence(start, end), Normalizer.Form.NFC));
      start = end;
    }
    return out.toString();
  }

  private static void requireFewMarks(CharSequence text) {
    int marks = 0;
    for (int i = 0; i < text.length(); i += Character.charCount(Character.codePointAt(text, i))) {
      marks = isMark(Character.codePointAt(text, i)) ? marks + 1 : 0;
      if (marks > MAX_MARKS) {
        throw new BadInputException("text: more than " + MAX_MARKS + " combining marks follow each other at character " + (i - MAX_MARKS));
      }
    }
  }

  /** Whether a text must not be cut in front of this: it may change with what stands before it, or is the second half of a pair. */
  static boolean joins(int codePoint) {
    return isMark(codePoint) || codePoint >= FIRST_JAMO && codePoint <= LAST_JAMO || codePoint == KIRAT_RAI_AI
        || codePoint >= 0xdc00 && codePoint <= 0xdfff;
  }

  private static boolean isMark(int codePoint) {
    int type = Character.getType(codePoint);
    return type == Character.NON_SPACING_MARK || type == Character.COMBINING_SPACING_MARK || type == Character.ENCLOSING_MARK;
  }
}
