// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

/** Bits of the lossless format, the lowest of a byte first. */
final class BitReader {
  private final byte[] data;
  private final long end;
  private long at; // in bits

  BitReader(byte[] data, int begin, int end) {
    this.data = data;
    this.at = 8L * begin;
    this.end = 8L * end;
  }

  /** A number of up to 24 bits. */
  int read(int bits) {
    int value = peek(bits);
    skip(bits);
    return value;
  }

  boolean flag() {
    return read(1) != 0;
  }

  /** The coming bits, zeros beyond the end. */
  int peek(int bits) {
    int from = (int) (at >> 3);
    int value = 0;
    for (int i = 0; i < 4 && 8L * (from + i) < end; i++) {
      value |= (data[from + i] & 0xFF) << 8 * i;
    }
    return value >>> (int) (at & 7) & (1 << bits) - 1;
  }

  void skip(int bits) {
    at += bits;
    if (at > end) {
      throw new IllegalArgumentException("ends too early");
    }
  }
}
