// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.Arrays;

/**
 * The printable alphabet in which byte-level BPE files write bytes (spec 3.1, step 4): printable Latin-1 bytes stand
 * for themselves, the other 68 follow from U+0100 on.
 */
final class ByteAlphabet {
  private static final char[] TO_CHAR = new char[256];
  private static final int[] TO_BYTE = new int[0x100 + 68];

  static {
    Arrays.fill(TO_BYTE, -1);
    char next = 0x100;
    for (int b = 0; b < 256; b++) {
      boolean itself = b >= 0x21 && b <= 0x7E || b >= 0xA1 && b <= 0xAC || b >= 0xAE;
      TO_CHAR[b] = itself ? (char) b : next++;
      TO_BYTE[TO_CHAR[b]] = b;
    }
  }

  private ByteAlphabet() {}

  /** @param unsigned 0..255 */
  static char symbol(int unsigned) {
    return TO_CHAR[unsigned];
  }

  /** The bytes that a vocabulary entry spells, or null if a character of it is outside the alphabet. */
  static byte[] bytes(String token) {
    byte[] bytes = new byte[token.length()];
    for (int i = 0; i < bytes.length; i++) {
      char c = token.charAt(i);
      int b = c < TO_BYTE.length ? TO_BYTE[c] : -1;
      if (b < 0) {
        return null;
      }
      bytes[i] = (byte) b;
    }
    return bytes;
  }
}
