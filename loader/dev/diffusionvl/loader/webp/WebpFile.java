// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * A WebP file, lossy or lossless. Of an animation the first frame counts, on its canvas; alpha is dropped. The pixels are those of
 * libwebp, bit by bit. Immutable.
 *
 * <p>Memory: twelve bytes per pixel and a small multiple of the file's size.
 */
public final class WebpFile {
  private static final int CHUNK_HEADER = 8;
  private static final int CANVAS_BYTES = 10;
  private static final int FRAME_HEADER = 16;

  private final byte[] file;
  private final ByteBuffer bytes;
  private final SizeCheck sizeCheck;
  private byte[] exif;
  private byte[] xmp;
  private int width;
  private int height;
  private byte[] rgb;

  /** Hears the sizes that headers claim, before anything is allocated for them. */
  public interface SizeCheck {
    /** Throws if so many pixels are not to be decoded. */
    void check(int width, int height);
  }

  private WebpFile(byte[] file, SizeCheck sizeCheck) {
    this.file = file;
    this.bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    this.sizeCheck = sizeCheck;
  }

  public static boolean isWebp(byte[] file) {
    return file.length >= 12 && startsWith(file, 0, "RIFF") && startsWith(file, 8, "WEBP");
  }

  /**
   * Decodes a file.
   *
   * @throws IllegalArgumentException saying what is wrong with it; and whatever {@code sizeCheck} throws
   */
  public static WebpFile decode(byte[] file, SizeCheck sizeCheck) {
    if (!isWebp(file)) {
      throw new IllegalArgumentException("no WebP file");
    }
    WebpFile webp = new WebpFile(file, sizeCheck);
    long end = CHUNK_HEADER + Integer.toUnsignedLong(webp.bytes.getInt(4));
    if (end > file.length) {
      throw new IllegalArgumentException("ends too early");
    }
    webp.readChunks(12, (int) end);
    if (webp.rgb == null) {
      throw new IllegalArgumentException("no image in it");
    }
    return webp;
  }

  private void readChunks(int begin, int end) {
    for (int at = begin; at + CHUNK_HEADER <= end;) {
      int from = at + CHUNK_HEADER;
      long to = from + Integer.toUnsignedLong(bytes.getInt(at + 4));
      if (to > end) {
        throw new IllegalArgumentException("a chunk ends behind the file");
      }
      readChunk(new String(file, at, 4, StandardCharsets.ISO_8859_1), from, (int) to);
      at = (int) Math.min(end, to + (to - from & 1)); // chunks of odd size are padded
    }
  }

  private void readChunk(String type, int from, int to) {
    switch (type) {
      case "VP8X" -> {
        require(to - from >= CANVAS_BYTES, "VP8X");
        width = 1 + number24(from + 4);
        height = 1 + number24(from + 7);
        sizeCheck.check(width, height);
      }
      case "ANMF" -> {
        require(to - from >= FRAME_HEADER, "ANMF");
        if (rgb == null) {
          readFrame(2 * number24(from), 2 * number24(from + 3), from + FRAME_HEADER, to);
        }
      }
      case "VP8 ", "VP8L" -> {
        if (rgb == null) {
          WebpPicture picture = type.equals("VP8 ") ? LossyDecoder.decode(file, from, to, sizeCheck)
              : LosslessDecoder.decode(file, from, to, sizeCheck);
          width = picture.width();
          height = picture.height();
          rgb = picture.rgb();
        }
      }
      case "EXIF" -> exif = Arrays.copyOfRange(file, from, to);
      case "XMP " -> xmp = Arrays.copyOfRange(file, from, to);
      default -> { }
    }
  }

  /** The first frame of an animation: chunks of its own, at a place on the canvas, which is black elsewhere. */
  private void readFrame(int x, int y, int begin, int end) {
    int canvasWidth = width;
    int canvasHeight = height;
    readChunks(begin, end);
    require(rgb != null, "ANMF");
    if (x > canvasWidth - width || y > canvasHeight - height) {
      throw new IllegalArgumentException("a frame reaches beyond its canvas");
    }
    byte[] canvas = new byte[Math.multiplyExact(3, Math.multiplyExact(canvasWidth, canvasHeight))];
    for (int row = 0; row < height; row++) {
      System.arraycopy(rgb, 3 * row * width, canvas, 3 * ((y + row) * canvasWidth + x), 3 * width);
    }
    width = canvasWidth;
    height = canvasHeight;
    rgb = canvas;
  }

  private static void require(boolean whole, String chunk) {
    if (!whole) {
      throw new IllegalArgumentException("chunk " + chunk + " is incomplete");
    }
  }

  private int number24(int at) {
    return bytes.getShort(at) & 0xFFFF | (file[at + 2] & 0xFF) << 16;
  }

  private static boolean startsWith(byte[] file, int at, String text) {
    for (int i = 0; i < text.length(); i++) {
      if (file[at + i] != text.charAt(i)) {
        return false;
      }
    }
    return true;
  }

  public int width() {
    return width;
  }

  public int height() {
    return height;
  }

  /** Rows from top to bottom, three bytes per pixel; not copied. */
  public byte[] rgb() {
    return rgb;
  }

  /** The EXIF block, or null. */
  public byte[] exif() {
    return exif;
  }

  /** The XMP packet, or null. */
  public byte[] xmp() {
    return xmp;
  }
}
