// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import dev.diffusionvl.loader.AnyresConfig.Resolution;

/**
 * Where the features of a tiled image go (docs/model.md, "Image preprocessing: SigLIP"). The tiles' features form a mosaic; what lies over
 * the canvas's black borders is cut off, and what is left is shrunk if it is much more than {@code maxTiles} tiles.
 *
 * @param canvas the resolution chosen for the image
 * @param grid features along a side of a tile
 * @param top first row of the mosaic that is kept
 * @param left first column of it that is kept
 * @param height rows kept
 * @param width columns kept
 * @param outHeight rows after shrinking
 * @param outWidth columns after shrinking, without the newline column
 */
record AnyresLayout(Resolution canvas, int tilesAcross, int tilesDown, int grid, int top, int left, int height, int width,
    int outHeight, int outWidth) {

  /** Below this the mosaic is left as it is. */
  private static final double SHRINK_FROM = 1.1;

  /** Of an image of {@code imageWidth} x {@code imageHeight} pixels; sides of 0 mean that nothing of it is left. */
  static AnyresLayout of(int imageWidth, int imageHeight, SigLipConfig config) {
    Resolution canvas = bestFor(imageWidth, imageHeight, config.anyres());
    int grid = config.grid();
    int across = canvas.width() / config.imageSize();
    int down = canvas.height() / config.imageSize();
    int width = across * grid;
    int height = down * grid;
    int top = 0;
    int left = 0;
    if ((double) imageWidth / imageHeight > (double) width / height) {
      int covered = (int) (imageHeight * ((double) width / imageWidth));
      top = (height - covered) / 2;
      height -= 2 * top;
    } else {
      int covered = (int) (imageWidth * ((double) height / imageHeight));
      left = (width - covered) / 2;
      width -= 2 * left;
    }
    double shrink = Math.sqrt((double) height * width / (config.anyres().maxTiles() * grid * grid));
    boolean shrinks = shrink > SHRINK_FROM;
    return new AnyresLayout(canvas, across, down, grid, top, left, height, width,
        shrinks ? floorDivide(height, shrink) : height, shrinks ? floorDivide(width, shrink) : width);
  }

  /** The canvas that keeps most of the image's pixels, and among equals wastes least. */
  static Resolution bestFor(int width, int height, AnyresConfig config) {
    Resolution best = null;
    long bestEffective = 0;
    long bestWaste = Long.MAX_VALUE;
    for (Resolution r : config.resolutions()) {
      double scale = Math.min((double) r.width() / width, (double) r.height() / height);
      long effective = Math.min((long) (width * scale) * (long) (height * scale), (long) width * height);
      long waste = (long) r.width() * r.height() - effective;
      if (best == null || effective > bestEffective || effective == bestEffective && waste < bestWaste) {
        best = r;
        bestEffective = effective;
        bestWaste = waste;
      }
    }
    return best;
  }

  /** Python's {@code //}: exact even where the quotient would round up to an integer. */
  private static int floorDivide(int a, double b) {
    return (int) Math.rint((a - a % b) / b);
  }

  /** Tiles of the canvas and the thumbnail before them. */
  int tiles() {
    return 1 + tilesAcross * tilesDown;
  }

  int rows() {
    return grid * grid + outHeight * (outWidth + 1);
  }

  /** The thumbnail's features, then the picture row by row, each row ended by the newline vector behind all features. */
  RowBlend blend() {
    RowBlend.Builder rows = new RowBlend.Builder(rows());
    int positions = grid * grid;
    for (int i = 0; i < positions; i++) {
      rows.copy(i);
    }
    for (int y = 0; y < outHeight; y++) {
      double sourceY = source(y, height, outHeight);
      for (int x = 0; x < outWidth; x++) {
        double sourceX = source(x, width, outWidth);
        int y0 = (int) sourceY;
        int x0 = (int) sourceX;
        int y1 = Math.min(y0 + 1, height - 1);
        int x1 = Math.min(x0 + 1, width - 1);
        rows.bilinear(feature(y0, x0), feature(y0, x1), feature(y1, x0), feature(y1, x1), sourceY - y0, sourceX - x0);
      }
      rows.copy(tiles() * positions);
    }
    return rows.build();
  }

  /** Half-pixel centres, not antialiased. */
  private static double source(int at, int in, int out) {
    return Math.max(0, (at + 0.5) * ((double) in / out) - 0.5);
  }

  /** Index of the feature at a place of the part that is kept. */
  private int feature(int y, int x) {
    int my = top + y;
    int mx = left + x;
    int tile = 1 + my / grid * tilesAcross + mx / grid;
    return (tile * grid + my % grid) * grid + mx % grid;
  }
}
