// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/**
 * What a PNG file says beside its pixels. The JDK's reader does not say how to turn the image, and fails on odd metadata that no pixel
 * depends on. The orientation stands in an EXIF chunk, in the text {@code Raw profile type exif} that older programs write instead, or
 * in an XMP packet; in this order, as Pillow looks for it.
 */
final class PngChunks {
  private static final long SIGNATURE = 0x89504E470D0A1A0AL;
  /** The bit of a type's first letter that makes it a small one. */
  private static final int ANCILLARY = 0x20;
  /** Length, type and checksum of a chunk. */
  private static final int FRAME_BYTES = 12;
  private static final String PROFILE = "Raw profile type exif";
  private static final String XMP = "XML:com.adobe.xmp";
  /** Of a text once inflated; longer ones are no orientation's. */
  private static final int MAX_TEXT_BYTES = 1 << 20;

  private byte[] exif;
  private byte[] profile;
  private byte[] xmp;

  private final byte[] file;
  private final ByteArrayOutputStream kept;

  /** Reads the chunks of a PNG file as far as they lie within it. */
  PngChunks(byte[] file) {
    this.file = file;
    kept = new ByteArrayOutputStream(file.length);
    kept.write(file, 0, 8);
    int at = readChunks();
    kept.write(file, at, file.length - at);
  }

  static boolean isPng(byte[] file) {
    return file.length >= 8 && ByteBuffer.wrap(file).getLong() == SIGNATURE;
  }

  /** Upright if the file does not say. */
  int orientation() {
    return Orientation.of(exif != null ? exif : profile, xmp);
  }

  /** The same picture without the chunks that a reader may do without. Transparency is one: it is dropped anyway. */
  byte[] plainFile() {
    return kept.toByteArray();
  }

  /** Returns where the last whole chunk ends. */
  private int readChunks() {
    ByteBuffer png = ByteBuffer.wrap(file);
    long at = 8;
    while (at + FRAME_BYTES <= file.length) {
      int start = (int) at;
      long end = at + FRAME_BYTES + Integer.toUnsignedLong(png.getInt(start));
      if (end > file.length) {
        break;
      }
      String type = new String(file, start + 4, 4, StandardCharsets.ISO_8859_1);
      int from = start + 8;
      int to = (int) end - 4;
      switch (type) {
        case "eXIf" -> exif = Arrays.copyOfRange(file, from, to);
        case "tEXt", "zTXt", "iTXt" -> text(type, Arrays.copyOfRange(file, from, to));
        default -> { }
      }
      if ((file[start + 4] & ANCILLARY) == 0) {
        kept.write(file, start, (int) end - start);
      }
      at = end;
    }
    return (int) at;
  }

  /** A keyword, a zero and what the kind of chunk has before its text. */
  private void text(String type, byte[] chunk) {
    int end = zero(chunk, 0);
    String keyword = new String(chunk, 0, end, StandardCharsets.ISO_8859_1);
    if (!keyword.equals(PROFILE) && !keyword.equals(XMP)) {
      return;
    }
    int start = end + 1;
    boolean deflated = type.equals("zTXt");
    if (deflated) {
      start++;
    } else if (type.equals("iTXt")) {
      deflated = start < chunk.length && chunk[start] != 0;
      // language and translated keyword
      start = zero(chunk, zero(chunk, start + 2) + 1) + 1;
    }
    byte[] rest = Arrays.copyOfRange(chunk, Math.min(start, chunk.length), chunk.length);
    byte[] text = deflated ? inflated(rest) : rest;
    if (keyword.equals(XMP)) {
      xmp = text;
    } else {
      profile = bytes(new String(text, StandardCharsets.ISO_8859_1));
    }
  }

  private static int zero(byte[] chunk, int from) {
    int at = Math.min(from, chunk.length);
    while (at < chunk.length && chunk[at] != 0) {
      at++;
    }
    return at;
  }

  private static byte[] inflated(byte[] bytes) {
    try (Inflater inflater = new Inflater()) {
      inflater.setInput(bytes);
      byte[] text = new byte[(int) Math.min(MAX_TEXT_BYTES, 1032L * bytes.length)];
      return Arrays.copyOf(text, inflater.inflate(text));
    } catch (DataFormatException e) {
      return new byte[0];
    }
  }

  /** A line end, a name, a length, and the bytes in hexadecimal in lines. */
  private static byte[] bytes(String text) {
    String[] lines = text.split("\n", 4);
    try {
      return lines.length < 4 ? new byte[0] : HexFormat.of().parseHex(lines[3].replaceAll("\\s", ""));
    } catch (IllegalArgumentException e) {
      return new byte[0];
    }
  }
}
