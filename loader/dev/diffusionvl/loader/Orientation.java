// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** How a camera was held, by the orientation tag of EXIF: 1 upright, 2 to 8 mirrored or turned. */
final class Orientation {
  static final int UPRIGHT = 1;

  private static final byte[] EXIF_PREFIX = "Exif\0\0".getBytes(StandardCharsets.US_ASCII);

  private Orientation() {}

  /** Of the payload of a JPEG APP1 segment, which may also hold something else than EXIF. */
  static int ofApp1(byte[] payload) {
    return isPrefixed(payload) ? ofExif(payload) : UPRIGHT;
  }

  /** Of an EXIF block, with the prefix that it has in JPEG files or without. */
  static int ofExif(byte[] exif) {
    return of(TiffTags.of(isPrefixed(exif) ? Arrays.copyOfRange(exif, EXIF_PREFIX.length, exif.length) : exif));
  }

  private static boolean isPrefixed(byte[] exif) {
    return exif.length > EXIF_PREFIX.length
        && Arrays.equals(exif, 0, EXIF_PREFIX.length, EXIF_PREFIX, 0, EXIF_PREFIX.length);
  }

  /** Of a TIFF file or an EXIF block. */
  static int of(TiffTags tags) {
    short[] values = tags.shorts(TiffTags.ORIENTATION);
    return values.length == 1 && values[0] >= UPRIGHT && values[0] <= 8 ? values[0] : UPRIGHT;
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
