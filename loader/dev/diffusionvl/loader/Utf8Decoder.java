// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * UTF-8 to text, byte by byte, so that a character cut by a token boundary is only given out when whole. Malformed
 * input becomes one U+FFFD for each maximal part (the Unicode standard's recommendation; java.nio merges some of them,
 * the reference decoders do not).
 */
final class Utf8Decoder {
  private static final char REPLACEMENT = '\uFFFD';

  private int codePoint;
  private int missing;
  /**
   * Limits of the next continuation byte: tighter after E0, ED, F0 and F4 (overlong forms, surrogates, beyond
   * U+10FFFF).
   */
  private int low = 0x80;
  private int high = 0xBF;

  void accept(byte[] bytes, StringBuilder out) {
    for (byte b : bytes) {
      accept(b & 0xFF, out);
    }
  }

  /** What is left of an unfinished character becomes one U+FFFD. */
  void finish(StringBuilder out) {
    if (missing > 0) {
      missing = 0;
      out.append(REPLACEMENT);
    }
    low = 0x80;
    high = 0xBF;
  }

  private void accept(int b, StringBuilder out) {
    if (missing > 0) {
      if (b >= low && b <= high) {
        low = 0x80;
        high = 0xBF;
        codePoint = codePoint << 6 | b & 0x3F;
        if (--missing == 0) {
          out.appendCodePoint(codePoint);
        }
        return;
      }
      finish(out);
    }
    begin(b, out);
  }

  private void begin(int b, StringBuilder out) {
    if (b < 0x80) {
      out.append((char) b);
    } else if (b >= 0xC2 && b <= 0xDF) {
      expect(1, b & 0x1F);
    } else if (b >= 0xE0 && b <= 0xEF) {
      expect(2, b & 0x0F);
      low = b == 0xE0 ? 0xA0 : 0x80;
      high = b == 0xED ? 0x9F : 0xBF;
    } else if (b >= 0xF0 && b <= 0xF4) {
      expect(3, b & 0x07);
      low = b == 0xF0 ? 0x90 : 0x80;
      high = b == 0xF4 ? 0x8F : 0xBF;
    } else {
      out.append(REPLACEMENT);
    }
  }

  private void expect(int continuationBytes, int leadingBits) {
    missing = continuationBytes;
    codePoint = leadingBits;
  }
}
