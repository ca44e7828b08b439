// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** The first directory of a TIFF structure, which TIFF files and EXIF blocks are. Broken ones have no tags. */
final class TiffTags {
  static final int ORIENTATION = 0x0112;
  static final int COLOUR_MAP = 0x0140;

  private static final int TYPE_SHORT = 3;
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
    if (tiff.limit() < 8) {
      return NONE;
    }
    long directory = Integer.toUnsignedLong(tiff.getInt(4));
    if (directory + 2 > tiff.limit()) {
      return NONE;
    }
    int entries = tiff.getShort((int) directory) & 0xFFFF;
    long at = directory + 2;
    for (int i = 0; i < entries && at + ENTRY_BYTES <= tiff.limit(); i++, at += ENTRY_BYTES) {
      if ((tiff.getShort((int) at) & 0xFFFF) == tag && tiff.getShort((int) at + 2) == TYPE_SHORT) {
        return values((int) at + 4);
      }
    }
    return NONE;
  }

  /** Up to two values stand in the entry itself, more of them elsewhere. */
  private short[] values(int at) {
    long count = Integer.toUnsignedLong(tiff.getInt(at));
    long start = count <= 2 ? at + 4 : Integer.toUnsignedLong(tiff.getInt(at + 4));
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
