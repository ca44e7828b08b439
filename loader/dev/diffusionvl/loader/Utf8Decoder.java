// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * Incremental UTF-8 decoder. A character comes out once its last byte is in; every maximal ill-formed part becomes one
 * U+FFFD, as Unicode recommends (the JDK's decoder counts encoded surrogates differently).
 */
final class Utf8Decoder {
  private final StringBuilder out = new StringBuilder();
  private int value;
  private int missing;
  // bounds of the next continuation byte: narrower after E0, ED, F0 and F4, which rules out overlong forms and
  // surrogates
  private int low;
  private int high;

  /** A decoder with the same unfinished character. */
  Utf8Decoder copy() {
    Utf8Decoder copy = new Utf8Decoder();
    copy.out.append(out);
    copy.value = value;
    copy.missing = missing;
    copy.low = low;
    copy.high = high;
    return copy;
  }

  void accept(byte[] bytes) {
    for (byte b : bytes) {
      accept(b & 0xff);
    }
  }

  private void accept(int b) {
    if (missing > 0) {
      if (b >= low && b <= high) {
        value = value << 6 | b & 0x3f;
        low = 0x80;
        high = 0xbf;
        if (--missing == 0) {
          out.appendCodePoint(value);
        }
        return;
      }
      missing = 0;
      out.append('\ufffd');
    }
    start(b);
  }

  private void start(int b) {
    low = 0x80;
    high = 0xbf;
    if (b < 0x80) {
      out.append((char) b);
    } else if (b >= 0xc2 && b <= 0xdf) {
      expect(1, b & 0x1f);
    } else if (b >= 0xe0 && b <= 0xef) {
      expect(2, b & 0x0f);
      low = b == 0xe0 ? 0xa0 : low;
      high = b == 0xed ? 0x9f : high;
    } else if (b >= 0xf0 && b <= 0xf4) {
      expect(3, b & 0x07);
      low = b == 0xf0 ? 0x90 : low;
      high = b == 0xf4 ? 0x8f : high;
    } else {
      out.append('\ufffd');
    }
  }

  private void expect(int continuationBytes, int leadBits) {
    missing = continuationBytes;
    value = leadBits;
  }

  /** Takes the characters completed since the last call. */
  String take() {
    String text = out.toString();
    out.setLength(0);
    return text;
  }

  /** Takes what is left; an unfinished character becomes U+FFFD. */
  String finish() {
    if (missing > 0) {
      missing = 0;
      out.append('\ufffd');
    }
    return take();
  }
}
