// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.List;
import java.util.function.BiFunction;
import java.util.stream.IntStream;

/**
 * From the images of a prompt to the tiles that the SigLIP tower reads (docs/model.md, "Image preprocessing: SigLIP"): a single image as
 * thumbnail and tiles, several ones, and single ones where the configuration tiles none, as one square each. Immutable, safe for several
 * threads.
 */
public final class SigLipImageProcessor {
  private static final int CHANNELS = 3;

  private final SigLipConfig config;
  private final PixelNormalization normalization;
  private final Canvas border;

  public SigLipImageProcessor(ModelConfig config) {
    this.config = config.sigLip();
    this.normalization = new PixelNormalization(config.imageMean(), config.imageStd());
    this.border = Canvas.ofMean(config.imageMean());
  }

  /**
   * @param images of one prompt, in order; messages call them by their name or number
   * @throws BadInputException if an image is too long and narrow
   */
  public List<ImageTiles> process(List<RgbImage> images) {
    return each(images, (image, name) -> isTiled(images) ? tiles(image, layout(image, name)) : square(image, name));
  }

  /**
   * Embeddings that each image will have.
   *
   * @throws BadInputException as {@link #process}
   */
  public int[] rows(List<RgbImage> images) {
    return each(images, (image, name) -> isTiled(images) ? layout(image, name).rows() : squareRows(image, name)).stream()
        .mapToInt(Integer::intValue).toArray();
  }

  /** Most tiles that one of the images will have; 0 if there are no images. @throws BadInputException as {@link #process} */
  public int tiles(List<RgbImage> images) {
    return each(images, (image, name) -> isTiled(images) ? layout(image, name).tiles() : 1).stream().mapToInt(Integer::intValue).max()
        .orElse(0);
  }

  private static <T> List<T> each(List<RgbImage> images, BiFunction<RgbImage, String, T> body) {
    return IntStream.range(0, images.size()).mapToObj(i -> {
      RgbImage image = images.get(i);
      AspectRatio.check(image.width(), image.height(), image.nameOr(i + 1));
      return body.apply(image, image.nameOr(i + 1));
    }).toList();
  }

  private boolean isTiled(List<RgbImage> images) {
    return images.size() == 1 && config.anyres() != null;
  }

  private AnyresLayout layout(RgbImage image, String name) {
    AnyresLayout layout = AnyresLayout.of(image.width(), image.height(), config);
    if (layout.outHeight() < 1 || layout.outWidth() < 1) {
      throw image.sizeError(name, "too long and narrow: less than one feature wide");
    }
    return layout;
  }

  private ImageTiles tiles(RgbImage image, AnyresLayout layout) {
    int side = config.imageSize();
    float[] pixels = new float[Math.multiplyExact(layout.tiles(), side * side * CHANNELS)];
    put(BicubicResize.resize(image, side, side), 0, 0, pixels, 0);
    RgbImage canvas = fitted(image, layout.canvas());
    for (int tile = 1; tile < layout.tiles(); tile++) {
      int down = (tile - 1) / layout.tilesAcross();
      int across = (tile - 1) % layout.tilesAcross();
      put(canvas, down * side, across * side, pixels, tile);
    }
    return new ImageTiles(pixels, layout.tiles(), layout.blend());
  }

  /** Resized to touch two borders of the canvas, centred on black. */
  private static RgbImage fitted(RgbImage image, AnyresConfig.Resolution canvas) {
    double byWidth = (double) canvas.width() / image.width();
    double byHeight = (double) canvas.height() / image.height();
    int width = canvas.width();
    int height = canvas.height();
    if (byWidth < byHeight) {
      height = Math.min((int) Math.ceil(image.height() * byWidth), height);
    } else {
      width = Math.min((int) Math.ceil(image.width() * byHeight), width);
    }
    return Canvas.BLACK.around(BicubicResize.resize(image, width, height), canvas.width(), canvas.height());
  }

  /** The features, and the newline vector behind those of a padded image. */
  private int squareRows(RgbImage image, String name) {
    if (config.stretched()) {
      return config.positions();
    }
    Canvas.checkSquare(image, name);
    return config.positions() + 1;
  }

  private ImageTiles square(RgbImage image, String name) {
    RowBlend.Builder rows = new RowBlend.Builder(squareRows(image, name));
    for (int i = 0; i < squareRows(image, name); i++) {
      rows.copy(i);
    }
    int side = config.imageSize();
    float[] pixels = new float[side * side * CHANNELS];
    put(BicubicResize.resize(config.stretched() ? image : border.square(image), side, side), 0, 0, pixels, 0);
    return new ImageTiles(pixels, 1, rows.build());
  }

  /** Normalises the square of the tower's size at a place of an image into tile number {@code tile}. */
  private void put(RgbImage image, int top, int left, float[] pixels, int tile) {
    int side = config.imageSize();
    int out = tile * side * side * CHANNELS;
    for (int y = top; y < top + side; y++) {
      int at = CHANNELS * (y * image.width() + left);
      for (int i = 0; i < side * CHANNELS; i++) {
        pixels[out++] = normalization.of(i % CHANNELS, image.rgb()[at + i]);
      }
    }
  }
}
