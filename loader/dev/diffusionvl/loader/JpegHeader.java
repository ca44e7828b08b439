// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.io.ByteArrayOutputStream;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * What a JPEG file says before its pixels. Its colour model is settled here by libjpeg's rules and the file rewritten
 * to say so plainly: the JDK's reader guesses by other rules, converts by colour profiles and fails on odd metadata,
 * all unlike the reference.
 */
final class JpegHeader {
  /** How the stored components are meant. */
  enum Colour { GREY, RGB, YCBCR, CMYK, YCCK }

  private static final int TEMPORARY = 0x01;
  private static final int RST0 = 0xD0;
  private static final int RST7 = 0xD7;
  private static final int SOI = 0xD8;
  private static final int EOI = 0xD9;
  private static final int SOS = 0xDA;
  private static final int COMMENT = 0xFE;
  private static final int APP0 = 0xE0;
  private static final int APP1 = 0xE1;
  private static final int APP14 = 0xEE;
  private static final int APP15 = 0xEF;
  private static final int NO_ADOBE = -1;
  private static final String EXIF = "Exif\0\0";
  private static final String XMP = "http://ns.adobe.com/xap/1.0/\0";

  private final byte[] file;
  private final ByteArrayOutputStream kept = new ByteArrayOutputStream();
  private final ByteArrayOutputStream exif = new ByteArrayOutputStream();
  private byte[] xmp;
  private boolean jfif;
  private int adobeTransform = NO_ADOBE;
  private int[] componentIds = {};
  /** By component: samples across and down in a unit of the image. */
  private int[] across = {};
  private int[] down = {};
  private int scan;

  /** @throws IllegalArgumentException saying what is wrong, if the header is no JPEG header or ends too early */
  JpegHeader(byte[] file) {
    this.file = file;
    if (file.length < 4 || byteAt(0) != 0xFF || byteAt(1) != SOI) {
      throw new IllegalArgumentException("no JPEG header");
    }
    int at = 2;
    while (scan == 0) {
      at = segment(at);
    }
  }

  static boolean isJpeg(byte[] file) {
    return file.length >= 3 && file[0] == (byte) 0xFF && file[1] == (byte) SOI;
  }

  int orientation() {
    return Orientation.of(exif.size() == 0 ? null : exif.toByteArray(), xmp);
  }

  /**
   * Whether a component has all columns but half the rows (chroma of 4:4:0), which the JDK's reader only doubles where the reference
   * interpolates.
   */
  boolean halfRows(int component) {
    return across[component] == Arrays.stream(across).max().orElseThrow()
        && 2 * down[component] == Arrays.stream(down).max().orElseThrow();
  }

  boolean halfRows() {
    return IntStream.range(0, across.length).anyMatch(this::halfRows);
  }

  Colour colour() {
    return switch (componentIds.length) {
      case 1 -> Colour.GREY;
      case 3 -> threeComponents();
      case 4 -> adobeTransform == NO_ADOBE || adobeTransform == 0 ? Colour.CMYK : Colour.YCCK;
      default -> throw new IllegalArgumentException(componentIds.length + " colour components");
    };
  }

  private Colour threeComponents() {
    if (jfif) {
      return Colour.YCBCR;
    }
    boolean namedRgb = Arrays.equals(componentIds, new int[] {'R', 'G', 'B'});
    boolean rgb = adobeTransform == NO_ADOBE ? namedRgb : adobeTransform == 0;
    return rgb ? Colour.RGB : Colour.YCBCR;
  }

  /** The same picture without metadata but a marker for its colours. */
  byte[] plainFile() {
    ByteArrayOutputStream out = new ByteArrayOutputStream(file.length + 32);
    out.writeBytes(new byte[] {(byte) 0xFF, (byte) SOI});
    out.writeBytes(switch (colour()) {
      case GREY, YCBCR -> bytes(0xFF, APP0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0);
      case RGB, CMYK -> adobe(0);
      case YCCK -> adobe(2);
    });
    out.writeBytes(kept.toByteArray());
    out.write(file, scan, file.length - scan);
    return out.toByteArray();
  }

  private static byte[] adobe(int transform) {
    return bytes(0xFF, APP14, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, transform);
  }

  private static byte[] bytes(int... values) {
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) values[i];
    }
    return bytes;
  }

  /** Reads the segment at `at` and returns where the next begins. Stray bytes and lone markers are passed over, as libjpeg does. */
  private int segment(int at) {
    int marker = byteAt(at) == 0xFF ? byteAt(at + 1) : -1;
    if (marker == -1 || marker == 0xFF) {
      // any number of fill bytes may precede a marker
      return at + 1;
    }
    if (marker == 0 || marker == TEMPORARY || marker >= RST0 && marker <= RST7) {
      return at + 2;
    }
    if (marker == SOI || marker == EOI) {
      throw new IllegalArgumentException(marker == EOI ? "ends before its pixels" : "another file begins before its pixels");
    }
    if (marker == SOS) {
      scan = at;
      return at;
    }
    int length = byteAt(at + 2) << 8 | byteAt(at + 3);
    int end = at + 2 + length;
    if (length < 2 || end > file.length) {
      throw new IllegalArgumentException("segment at byte " + at + " ends beyond the file");
    }
    byte[] payload = Arrays.copyOfRange(file, at + 4, end);
    if (marker >= APP0 && marker <= APP15) {
      application(marker, payload);
    } else if (marker != COMMENT) {
      frame(marker, payload);
      kept.write(file, at, end - at);
    }
    return end;
  }

  private void application(int marker, byte[] payload) {
    switch (marker) {
      case APP0 -> jfif |= startsWith(payload, "JFIF\0") && payload.length >= 12;
      case APP1 -> {
        if (startsWith(payload, EXIF)) {
          // a long block is continued in further segments
          exif.write(payload, EXIF.length(), payload.length - EXIF.length());
        } else if (startsWith(payload, XMP)) {
          xmp = Arrays.copyOfRange(payload, XMP.length(), payload.length);
        }
      }
      case APP14 -> {
        if (startsWith(payload, "Adobe") && payload.length >= 12) {
          adobeTransform = payload[11] & 0xFF;
        }
      }
      default -> { }
    }
  }

  private void frame(int marker, byte[] payload) {
    boolean frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (!frame || payload.length < 6) {
      return;
    }
    componentIds = new int[payload[5] & 0xFF];
    if (payload.length < 6 + 3 * componentIds.length) {
      throw new IllegalArgumentException("frame header ends too early");
    }
    across = new int[componentIds.length];
    down = new int[componentIds.length];
    for (int i = 0; i < componentIds.length; i++) {
      componentIds[i] = payload[6 + 3 * i] & 0xFF;
      across[i] = payload[7 + 3 * i] >> 4 & 0xF;
      down[i] = payload[7 + 3 * i] & 0xF;
    }
  }

  private static boolean startsWith(byte[] payload, String text) {
    for (int i = 0; i < text.length(); i++) {
      if (i >= payload.length || payload[i] != text.charAt(i)) {
        return false;
      }
    }
    return true;
  }

  private int byteAt(int index) {
    if (index >= file.length) {
      throw new IllegalArgumentException("ends before its pixels");
    }
    return file[index] & 0xFF;
  }
}
