// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** How a camera was held, by the orientation tag of EXIF or XMP: 1 upright, 2 to 8 mirrored or turned. */
final class Orientation {
  static final int UPRIGHT = 1;

  private static final byte[] EXIF_PREFIX = "Exif\0\0".getBytes(StandardCharsets.US_ASCII);
  private static final Pattern IN_XMP = Pattern.compile("tiff:Orientation(?:=\"|>)([0-9])");

  private Orientation() {}

  /**
   * By an EXIF block (with the prefix that it has in JPEG files or without) or, where that does not say, by an XMP packet. Either may be
   * null.
   */
  static int of(byte[] exif, byte[] xmp) {
    if (exif != null) {
      TiffTags tags = TiffTags.of(isPrefixed(exif) ? Arrays.copyOfRange(exif, EXIF_PREFIX.length, exif.length) : exif);
      if (tags.has(TiffTags.ORIENTATION)) {
        return of(tags);
      }
    }
    return xmp == null ? UPRIGHT : ofXmp(xmp);
  }

  /** Of the first orientation that an XMP packet names, as an attribute or an element. */
  private static int ofXmp(byte[] xmp) {
    Matcher matcher = IN_XMP.matcher(new String(xmp, StandardCharsets.ISO_8859_1));
    return matcher.find() ? usable(matcher.group(1).charAt(0) - '0') : UPRIGHT;
  }

  private static boolean isPrefixed(byte[] exif) {
    return exif.length > EXIF_PREFIX.length
        && Arrays.equals(exif, 0, EXIF_PREFIX.length, EXIF_PREFIX, 0, EXIF_PREFIX.length);
  }

  /** Of a TIFF file, which has a tag for an XMP packet too. */
  static int ofTiff(TiffTags tags) {
    return tags.has(TiffTags.ORIENTATION) ? of(tags) : of(null, tags.bytes(TiffTags.XMP));
  }

  /** By the tag alone. */
  static int of(TiffTags tags) {
    return usable(tags.number(TiffTags.ORIENTATION, UPRIGHT));
  }

  private static int usable(long value) {
    return value >= UPRIGHT && value <= 8 ? (int) value : UPRIGHT;
  }

  /** The image as it should be looked at. */
  static RgbImage upright(RgbImage image, int orientation) {
    if (orientation == UPRIGHT) {
      return image;
    }
    boolean transposed = orientation >= 5;
    int width = transposed ? image.height() : image.width();
    int height = transposed ? image.width() : image.height();
    // where the stored picture has its columns and rows running backwards
    boolean fromRight = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    boolean fromBottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    byte[] rgb = new byte[image.rgb().length];
    for (int y = 0, o = 0; y < height; y++) {
      for (int x = 0; x < width; x++, o += 3) {
        int column = transposed ? y : x;
        int row = transposed ? x : y;
        int from = 3 * ((fromBottom ? image.height() - 1 - row : row) * image.width()
            + (fromRight ? image.width() - 1 - column : column));
        System.arraycopy(image.rgb(), from, rgb, o, 3);
      }
    }
    return new RgbImage(width, height, rgb);
  }
}
