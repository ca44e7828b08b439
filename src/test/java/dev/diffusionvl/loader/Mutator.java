// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Random;

/** Damages files: the same seed gives the same damage. */
public final class Mutator {
  /** What breaks parsers: limits of integers, values of other kinds, structure, bad UTF-8. */
  private static final byte[][] TOKENS = {
    latin("-1"), latin("0"), latin("255"), latin("65536"), latin("2147483647"), latin("4294967296"),
    latin("9223372036854775807"), latin("-9223372036854775808"), latin("18446744073709551616"), latin("1e308"),
    latin("0.5"), latin("null"), latin("true"), latin("\"\""), latin("[]"), latin("{}"), latin("[[[[[[[["),
    latin("{\"a\":"), latin("\""), latin("\\u0000"), latin("\\ud800"), latin(","), latin(":"), latin("]"), latin("}"),
    latin("\n"), {0}, {(byte) 0xff}, {(byte) 0xc3, 0x28}, {(byte) 0xf0, (byte) 0x9f}
  };

  private final Random random;

  public Mutator(long seed) {
    this.random = new Random(seed);
  }

  private static byte[] latin(String text) {
    return text.getBytes(StandardCharsets.ISO_8859_1);
  }

  /** A copy with one to four kinds of damage. */
  public byte[] mutate(byte[] original) {
    byte[] bytes = original;
    for (int n = 1 + random.nextInt(4); n > 0; n--) {
      bytes = mutateOnce(bytes);
    }
    return bytes;
  }

  private byte[] mutateOnce(byte[] bytes) {
    int at = position(bytes.length);
    int length = random.nextInt(Math.min(64, bytes.length - at) + 1);
    return switch (random.nextInt(8)) {
      case 0 -> flip(bytes, at);
      case 1 -> replace(bytes, at, length, new byte[0]);
      case 2 -> replace(bytes, at, 0, Arrays.copyOfRange(bytes, at, at + length));
      case 3 -> replace(bytes, at, 0, token());
      case 4 -> replace(bytes, at, length, token());
      case 5, 6 -> replaceNumber(bytes, at);
      default -> random.nextInt(4) == 0 ? Arrays.copyOf(bytes, at) : flip(bytes, at);
    };
  }

  /** Half of the damage goes to the first bytes, where formats keep their lengths and dimensions. */
  private int position(int length) {
    return random.nextInt((random.nextBoolean() ? length : Math.min(length, 64)) + 1);
  }

  private byte[] token() {
    return TOKENS[random.nextInt(TOKENS.length)];
  }

  private byte[] flip(byte[] bytes, int at) {
    byte[] copy = bytes.clone();
    if (at < copy.length) {
      copy[at] ^= (byte) (random.nextBoolean() ? 1 << random.nextInt(8) : 1 + random.nextInt(255));
    }
    return copy;
  }

  /** Replaces the next run of digits, half the time by a small number, which may even fit. */
  private byte[] replaceNumber(byte[] bytes, int from) {
    int begin = from;
    while (begin < bytes.length && !isDigit(bytes[begin])) {
      begin++;
    }
    int end = begin;
    while (end < bytes.length && isDigit(bytes[end])) {
      end++;
    }
    byte[] with = random.nextBoolean() ? latin(Integer.toString(random.nextInt(40))) : token();
    return replace(bytes, begin, end - begin, with);
  }

  private static boolean isDigit(byte b) {
    return b >= '0' && b <= '9';
  }

  private static byte[] replace(byte[] bytes, int at, int length, byte[] with) {
    ByteArrayOutputStream out = new ByteArrayOutputStream(bytes.length + with.length);
    out.write(bytes, 0, at);
    out.writeBytes(with);
    out.write(bytes, at + length, bytes.length - at - length);
    return out.toByteArray();
  }
}
