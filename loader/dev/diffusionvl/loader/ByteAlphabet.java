// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * The printable alphabet in which vocabulary files spell bytes (docs/model.md, "Tokenizer"): the printable ones of Latin-1 stand
 * for themselves, the other 68 follow from U+0100 on.
 */
final class ByteAlphabet {
  private static final char[] SYMBOLS = new char[256];
  private static final short NONE = -1;
  /** By symbol; the last is that of byte 0xAD. */
  private static final short[] BYTES = new short[0x144];

  static {
    Arrays.fill(BYTES, NONE);
    char next = '\u0100';
    for (int b = 0; b < 256; b++) {
      boolean printable = b >= 0x21 && b <= 0x7e || b >= 0xa1 && b <= 0xac || b >= 0xae;
      SYMBOLS[b] = printable ? (char) b : next++;
      BYTES[SYMBOLS[b]] = (short) b;
    }
  }

  private ByteAlphabet() {}

  /** The character that spells a byte (0..255). */
  static char symbol(int unsignedByte) {
    return SYMBOLS[unsignedByte];
  }

  /** The bytes that a vocabulary entry spells; an entry with any other character stands for its own UTF-8 bytes. */
  static byte[] bytes(String entry) {
    byte[] bytes = new byte[entry.length()];
    for (int i = 0; i < bytes.length; i++) {
      char c = entry.charAt(i);
      if (c >= BYTES.length || BYTES[c] == NONE) {
        return entry.getBytes(StandardCharsets.UTF_8);
      }
      bytes[i] = (byte) BYTES[c];
    }
    return bytes;
  }
}
