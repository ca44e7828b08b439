// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.ByteBuffer;
import java.util.Arrays;

/** Finds the EXIF block of a PNG file, which the JDK's reader does not give out. */
final class PngExif {
  private static final long SIGNATURE = 0x89504E470D0A1A0AL;
  private static final int CHUNK = 0x65584966;
  /** Length, type and checksum of a chunk. */
  private static final int FRAME_BYTES = 12;

  private PngExif() {}

  static boolean isPng(byte[] file) {
    return file.length >= 8 && ByteBuffer.wrap(file).getLong() == SIGNATURE;
  }

  /** The block, or null if the file has none or is no PNG. */
  static byte[] find(byte[] file) {
    ByteBuffer png = ByteBuffer.wrap(file);
    if (!isPng(file)) {
      return null;
    }
    long at = 8;
    while (at + FRAME_BYTES <= file.length) {
      int start = (int) at;
      long end = at + FRAME_BYTES + Integer.toUnsignedLong(png.getInt(start));
      if (end > file.length) {
        return null;
      }
      if (png.getInt(start + 4) == CHUNK) {
        return Arrays.copyOfRange(file, start + 8, (int) end - 4);
      }
      at = end;
    }
    return null;
  }
}
