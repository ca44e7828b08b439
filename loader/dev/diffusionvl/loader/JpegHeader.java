// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.io.ByteArrayOutputStream;
import java.util.Arrays;

/**
 * What a JPEG file says before its pixels. Its colour model is settled here by libjpeg's rules and the file rewritten
 * to say so plainly: the JDK's reader guesses by other rules, converts by colour profiles and fails on odd metadata,
 * all unlike the reference.
 */
final class JpegHeader {
  /** How the stored components are meant. */
  enum Colour { GREY, RGB, YCBCR, CMYK, YCCK }

  private static final int SOI = 0xD8;
  private static final int SOS = 0xDA;
  private static final int COMMENT = 0xFE;
  private static final int APP0 = 0xE0;
  private static final int APP1 = 0xE1;
  private static final int APP14 = 0xEE;
  private static final int APP15 = 0xEF;
  private static final int NO_ADOBE = -1;

  private final byte[] file;
  private final ByteArrayOutputStream kept = new ByteArrayOutputStream();
  private int orientation = Orientation.UPRIGHT;
  private boolean jfif;
  private int adobeTransform = NO_ADOBE;
  private int[] componentIds = {};
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
    return file.length >= 3 && file[0] == (byte) 0xFF && file[1] == (byte) SOI && file[2] == (byte) 0xFF;
  }

  int orientation() {
    return orientation;
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

  /** Reads the segment at `at` and returns where the next begins. */
  private int segment(int at) {
    if (byteAt(at) != 0xFF) {
      throw new IllegalArgumentException("no marker at byte " + at);
    }
    int marker = byteAt(at + 1);
    if (marker == 0xFF) {
      // any number of fill bytes may precede a marker
      return at + 1;
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
      case APP1 -> orientation = orientation == Orientation.UPRIGHT ? Orientation.ofApp1(payload) : orientation;
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
    for (int i = 0; i < componentIds.length; i++) {
      componentIds[i] = payload[6 + 3 * i] & 0xFF;
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
