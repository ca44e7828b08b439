// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.zip.CRC32;
import java.util.zip.Deflater;

/** Writes grey PNG files, chunk by chunk. */
public final class PngFile {
  private PngFile() {}

  /** A file that claims a size and holds no pixels. */
  public static byte[] header(int width, int height) {
    return file(width, height, new byte[0]);
  }

  /** A white image. */
  public static byte[] white(int width, int height) {
    byte[] rows = new byte[(width + 1) * height];
    Arrays.fill(rows, (byte) 255);
    for (int y = 0; y < height; y++) {
      rows[y * (width + 1)] = 0; // no filter
    }
    Deflater deflater = new Deflater();
    deflater.setInput(rows);
    deflater.finish();
    byte[] packed = new byte[rows.length + 64];
    int length = deflater.deflate(packed);
    deflater.end();
    return file(width, height, Arrays.copyOf(packed, length));
  }

  private static byte[] file(int width, int height, byte[] data) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(new byte[] {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'});
    out.writeBytes(chunk("IHDR", ByteBuffer.allocate(13).putInt(width).putInt(height).put(new byte[] {8, 0, 0, 0, 0}).array()));
    out.writeBytes(chunk("IDAT", data));
    out.writeBytes(chunk("IEND", new byte[0]));
    return out.toByteArray();
  }

  private static byte[] chunk(String type, byte[] data) {
    ByteBuffer chunk = ByteBuffer.allocate(12 + data.length).putInt(data.length);
    chunk.put(type.getBytes(StandardCharsets.US_ASCII)).put(data);
    CRC32 crc = new CRC32();
    crc.update(chunk.array(), 4, 4 + data.length);
    return chunk.putInt((int) crc.getValue()).array();
  }
}
