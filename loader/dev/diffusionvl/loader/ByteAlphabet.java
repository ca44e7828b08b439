// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * The printable alphabet in which vocabulary files spell bytes (spec 3.1, step 4): the printable ones of Latin-1 stand
 * for themselves, the other 68 follow from U+0100 on.
 */
final class ByteAlphabet {
  private static final char[] SYMBOLS = new char[256];
  private static final Map<Character, Byte> BYTES = new HashMap<>();

  static {
    char next = '\u0100';
    for (int b = 0; b < 256; b++) {
      boolean printable = b >= 0x21 && b <= 0x7e || b >= 0xa1 && b <= 0xac || b >= 0xae;
      SYMBOLS[b] = printable ? (char) b : next++;
      BYTES.put(SYMBOLS[b], (byte) b);
    }
  }

  private ByteAlphabet() {}

  /** The character that spells a byte (0..255). */
  static char symbol(int unsignedByte) {
    return SYMBOLS[unsignedByte];
  }

  /** The bytes that a vocabulary entry spells; an entry with any other character stands for its own UTF-8 bytes. */
  static byte[] bytes(String entry) {
    ByteArrayOutputStream out = new ByteArrayOutputStream(entry.length());
    for (int i = 0; i < entry.length(); i++) {
      Byte b = BYTES.get(entry.charAt(i));
      if (b == null) {
        return entry.getBytes(StandardCharsets.UTF_8);
      }
      out.write(b);
    }
    return out.toByteArray();
  }
}
