// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.List;

/**
 * Two to nine images tiled into one picture, for models that were trained on single images and answer little to several. The tiles have one
 * size, each image keeps its shape in the middle of its tile, and what is left is black.
 *
 * @param picture the tiles
 * @param columns tiles beside each other; the last row may have fewer images
 */
public record ImageGrid(RgbImage picture, int images, int rows, int columns) {
  public static final int FEWEST = 2;
  public static final int MOST = 9;
  /** Pixels of a picture where no model says how many it takes. */
  public static final long DEFAULT_PIXELS = 1 << 20;

  private static final int LARGEST_TILE = 4096;

  /**
   * @param maxPixels the picture has no more, where its tiles still have a pixel then
   * @throws BadInputException if there are fewer than two images, or more than nine
   */
  public static ImageGrid of(List<RgbImage> images, long maxPixels) {
    int count = images.size();
    if (count < FEWEST || count > MOST) {
      throw new BadInputException("images: a grid has " + FEWEST + " to " + MOST + " of them, not " + count);
    }
    int columns = count == 4 ? 2 : Math.min(count, 3);
    int rows = (count + columns - 1) / columns;
    int width = images.stream().mapToInt(RgbImage::width).max().getAsInt();
    int height = images.stream().mapToInt(RgbImage::height).max().getAsInt();
    double shrink = Math.min(Math.sqrt(maxPixels / ((double) rows * columns * width * height)),
        (double) LARGEST_TILE / Math.max(width, height));
    RgbImage[] tiles = new RgbImage[count];
    int tileWidth = scaled(width, Math.min(1, shrink));
    int tileHeight = scaled(height, Math.min(1, shrink));
    for (int i = 0; i < count; i++) {
      RgbImage image = images.get(i);
      double fit = Math.min((double) tileWidth / image.width(), (double) tileHeight / image.height());
      RgbImage fitted = BicubicResize.resize(image, Math.min(tileWidth, scaled(image.width(), fit)),
          Math.min(tileHeight, scaled(image.height(), fit)));
      tiles[i] = Canvas.BLACK.around(fitted, tileWidth, tileHeight);
    }
    return new ImageGrid(joined(tiles, rows, columns), count, rows, columns);
  }

  private static int scaled(int side, double factor) {
    return Math.max(1, (int) (side * factor));
  }

  private static RgbImage joined(RgbImage[] tiles, int rows, int columns) {
    int width = tiles[0].width();
    int height = tiles[0].height();
    byte[] rgb = new byte[3 * rows * columns * width * height];
    for (int i = 0; i < tiles.length; i++) {
      int left = i % columns * width;
      int top = i / columns * height;
      for (int y = 0; y < height; y++) {
        System.arraycopy(tiles[i].rgb(), 3 * width * y, rgb, 3 * ((top + y) * columns * width + left), 3 * width);
      }
    }
    return new RgbImage(columns * width, rows * height, rgb);
  }

  /** A sentence that tells a model where each image is, to stand before the question. */
  public String layout() {
    if (rows == 1) {
      return "The picture shows " + images + " images side by side, numbered from left to right.";
    }
    return "The picture shows " + images + " images in " + rows + " rows of " + columns
        + ", numbered from left to right, the upper row first.";
  }
}
