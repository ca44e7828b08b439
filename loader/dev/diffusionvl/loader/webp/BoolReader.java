// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

/** The arithmetic decoder of VP8 (RFC 6386, 7). */
final class BoolReader {
  /** Bytes that a decoder may run ahead of what its data needs. */
  private static final int AHEAD = 2;

  private final byte[] data;
  private final int end;
  private int at;
  private int value;
  private int range = 255;
  private int shifted;

  BoolReader(byte[] data, int begin, int end) {
    this.data = data;
    this.at = begin;
    this.end = end;
    value = next() << 8 | next();
  }

  private int next() {
    if (at >= end + AHEAD) {
      throw new IllegalArgumentException("ends too early");
    }
    int index = at++;
    return index < end ? data[index] & 0xFF : 0;
  }

  /** A bit that is 0 with the probability of {@code zero} in 256. */
  int bit(int zero) {
    int split = 1 + ((range - 1) * zero >> 8);
    int bit = 0;
    if (value >= split << 8) {
      bit = 1;
      value -= split << 8;
      range -= split;
    } else {
      range = split;
    }
    while (range < 128) {
      range <<= 1;
      value <<= 1;
      if (++shifted == 8) {
        shifted = 0;
        value |= next();
      }
    }
    return bit;
  }

  boolean flag() {
    return bit(128) != 0;
  }

  /** An unsigned number of so many bits. */
  int number(int bits) {
    int number = 0;
    for (int i = 0; i < bits; i++) {
      number = number << 1 | bit(128);
    }
    return number;
  }

  /** Magnitude, then sign. */
  int signed(int bits) {
    int magnitude = number(bits);
    return flag() ? -magnitude : magnitude;
  }

  /** 0 or, after a flag, a signed number. */
  int optionalSigned(int bits) {
    return flag() ? signed(bits) : 0;
  }
}
