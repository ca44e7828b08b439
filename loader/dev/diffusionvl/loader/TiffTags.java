// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;

/** The first directory of a TIFF structure, which TIFF files and EXIF blocks are. Broken ones have no tags. */
final class TiffTags {
  static final int ORIENTATION = 0x0112;
  static final int COLOUR_MAP = 0x0140;
  static final int XMP = 700;

  private static final int ICC_PROFILE = 34675;
  /** Next to the profile's number, so that the entries stay in order. */
  private static final int UNKNOWN_TAG = 34676;
  private static final int BITS_PER_SAMPLE = 0x0102;
  private static final int STRIP_BYTE_COUNTS = 0x0117;
  private static final int TILE_BYTE_COUNTS = 0x0145;
  private static final int JPEG_LENGTH = 0x0202;

  private static final int TYPE_BYTE = 1;
  private static final int TYPE_UNDEFINED = 7;
  private static final int TYPE_SHORT = 3;
  private static final int TYPE_LONG = 4;
  /** Bytes of a value by type. */
  private static final int[] TYPE_BYTES = {1, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4};
  private static final int ENTRY_BYTES = 12;
  private static final short[] NONE = {};

  private final ByteBuffer tiff;

  private TiffTags(ByteBuffer tiff) {
    this.tiff = tiff;
  }

  static TiffTags of(byte[] bytes) {
    boolean little = startsWith(bytes, 'I', 'I', 42, 0);
    boolean big = startsWith(bytes, 'M', 'M', 0, 42);
    ByteBuffer tiff = ByteBuffer.wrap(little || big ? bytes : new byte[0]);
    return new TiffTags(tiff.order(little ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN));
  }

  /** Whether the bytes are a TIFF file (an EXIF block too). */
  boolean present() {
    return tiff.limit() > 0;
  }

  /** A file with 64-bit offsets, which is another format than TIFF in spite of its name. */
  static boolean isBigTiff(byte[] bytes) {
    return startsWith(bytes, 'I', 'I', 43, 0) || startsWith(bytes, 'M', 'M', 0, 43);
  }

  boolean has(int tag) {
    return entry(tag) >= 0;
  }

  /** The values of a tag of 16-bit numbers; none if it is missing or reaches beyond the data. */
  short[] shorts(int tag) {
    int entry = entry(tag);
    return entry >= 0 && number16(entry + 2) == TYPE_SHORT ? values(entry + 4) : NONE;
  }

  /** The bytes of a tag; null if it is missing, of another type, short enough for the entry itself, or reaches beyond the data. */
  byte[] bytes(int tag) {
    int entry = entry(tag);
    if (entry < 0 || number16(entry + 2) != TYPE_BYTE && number16(entry + 2) != TYPE_UNDEFINED) {
      return null;
    }
    long start = number32(entry + 8);
    long end = start + number32(entry + 4);
    return end - start <= 4 || end > tiff.limit() ? null : Arrays.copyOfRange(tiff.array(), (int) start, (int) end);
  }

  /** As {@link #shorts}, each as the unsigned number it is. */
  int[] numbers(int tag) {
    short[] values = shorts(tag);
    int[] numbers = new int[values.length];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = values[i] & 0xFFFF;
    }
    return numbers;
  }

  /** The first value of a tag of 16-bit or 32-bit numbers. */
  long number(int tag, long absent) {
    int entry = entry(tag);
    if (entry < 0 || number32(entry + 4) != 1) {
      return absent;
    }
    return switch (number16(entry + 2)) {
      case TYPE_SHORT -> number16(entry + 8);
      case TYPE_LONG -> number32(entry + 8);
      default -> absent;
    };
  }

  /** A tag that stands in the directory more than once, or -1. */
  int repeated() {
    Set<Integer> seen = new HashSet<>();
    int at = directory();
    for (int entry = at; entry < at + entries(at) * ENTRY_BYTES; entry += ENTRY_BYTES) {
      if (!seen.add(number16(entry))) {
        return number16(entry);
      }
    }
    return -1;
  }

  /** The file without its colour profile, from which the JDK's reader would choose how to take the samples. */
  byte[] withoutProfile() {
    int entry = entry(ICC_PROFILE);
    if (entry < 0) {
      return tiff.array();
    }
    byte[] copy = tiff.array().clone();
    ByteBuffer.wrap(copy).order(tiff.order()).putShort(entry, (short) UNKNOWN_TAG);
    return copy;
  }

  /** Where the entry of a tag stands, or -1. */
  private int entry(int tag) {
    int at = directory();
    for (int entry = at; entry < at + entries(at) * ENTRY_BYTES; entry += ENTRY_BYTES) {
      if (number16(entry) == tag) {
        return entry;
      }
    }
    return -1;
  }

  /**
   * Fails when the directory claims more values, or larger strips, than the data can hold, or samples of odd sizes: the JDK's reader
   * reserves memory for what is claimed, and a table with an entry for each value of a sample.
   *
   * @throws IllegalArgumentException naming the tag
   */
  void requireCredible() {
    requireUsualBits();
    int at = directory();
    for (int entry = at; entry < at + entries(at) * ENTRY_BYTES; entry += ENTRY_BYTES) {
      int tag = number16(entry);
      int type = number16(entry + 2);
      long size = number32(entry + 4) * (type < TYPE_BYTES.length ? TYPE_BYTES[type] : 1);
      if (size > tiff.limit()) {
        throw new IllegalArgumentException("TIFF tag " + tag + " claims " + size + " bytes");
      }
      boolean lengths = tag == STRIP_BYTE_COUNTS || tag == TILE_BYTE_COUNTS || tag == JPEG_LENGTH;
      if (lengths && TYPE_BYTES[TYPE_LONG] * number32(entry + 4) == size) {
        requireInside(tag, size > 4 ? number32(entry + 8) : entry + 8, (int) size);
      }
    }
  }

  private void requireUsualBits() {
    for (short bits : shorts(BITS_PER_SAMPLE)) {
      if ((bits < 1 || bits > 16) && bits != 32 && bits != 64) {
        throw new IllegalArgumentException("TIFF samples of " + (bits & 0xFFFF) + " bits");
      }
    }
  }

  private void requireInside(int tag, long from, int size) {
    for (long at = from; at < from + size && at + 4 <= tiff.limit(); at += 4) {
      if (number32((int) at) > tiff.limit()) {
        throw new IllegalArgumentException("TIFF tag " + tag + " claims a strip of " + number32((int) at) + " bytes");
      }
    }
  }

  /** Where the first entry stands; behind the data if there is none. */
  private int directory() {
    long at = tiff.limit() < 8 ? tiff.limit() : number32(4) + 2;
    return (int) Math.min(at, tiff.limit());
  }

  /** Entries that lie within the data. */
  private int entries(int directory) {
    int claimed = directory < 8 || directory == tiff.limit() ? 0 : number16(directory - 2);
    return Math.min(claimed, (tiff.limit() - directory) / ENTRY_BYTES);
  }

  private int number16(int at) {
    return tiff.getShort(at) & 0xFFFF;
  }

  private long number32(int at) {
    return Integer.toUnsignedLong(tiff.getInt(at));
  }

  /** Up to two values stand in the entry itself, more of them elsewhere. */
  private short[] values(int at) {
    long count = number32(at);
    long start = count <= 2 ? at + 4 : number32(at + 4);
    if (start + 2 * count > tiff.limit()) {
      return NONE;
    }
    short[] values = new short[(int) count];
    for (int i = 0; i < values.length; i++) {
      values[i] = tiff.getShort((int) start + 2 * i);
    }
    return values;
  }

  private static boolean startsWith(byte[] bytes, int a, int b, int c, int d) {
    return bytes.length >= 8 && bytes[0] == a && bytes[1] == b && bytes[2] == c && bytes[3] == d;
  }
}
