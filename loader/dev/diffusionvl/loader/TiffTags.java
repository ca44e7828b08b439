// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** The first directory of a TIFF structure, which TIFF files and EXIF blocks are. Broken ones have no tags. */
final class TiffTags {
  static final int ORIENTATION = 0x0112;
  static final int COLOUR_MAP = 0x0140;

  private static final int BITS_PER_SAMPLE = 0x0102;
  private static final int STRIP_BYTE_COUNTS = 0x0117;
  private static final int TILE_BYTE_COUNTS = 0x0145;
  private static final int JPEG_LENGTH = 0x0202;

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

  /** The values of a tag of 16-bit numbers; none if it is missing or reaches beyond the data. */
  short[] shorts(int tag) {
    int at = directory();
    for (int entry = at; entry < at + entries(at) * ENTRY_BYTES; entry += ENTRY_BYTES) {
      if (number16(entry) == tag && number16(entry + 2) == TYPE_SHORT) {
        return values(entry + 4);
      }
    }
    return NONE;
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
