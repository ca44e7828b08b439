// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.List;

/**
 * From an image to the rows the Qwen2.5-VL vision tower reads (docs/model.md, "Image preprocessing: Qwen"): resize to whole merge units
 * within the pixel limits, normalise, cut into patches. Immutable, safe for several threads.
 */
public final class QwenImageProcessor {
  private static final int CHANNELS = 3;

  private final int patch;
  private final int temporal;
  private final int merge;
  private final long minPixels;
  private final long maxPixels;
  private final PixelNormalization normalization;
  private final Canvas border; // null: images keep their shape

  /** A processor that keeps the shape of images. */
  public QwenImageProcessor(ModelConfig config) {
    this(config, ImageFraming.AS_IS);
  }

  /** A processor for images of one framing. */
  public QwenImageProcessor(ModelConfig config, ImageFraming framing) {
    this(config.vision().patchSize(), config.vision().temporalPatchSize(), config.vision().spatialMergeSize(),
        config.minPixels(), config.maxPixels(), config.imageMean(), config.imageStd(), framing);
  }

  QwenImageProcessor(int patch, int temporal, int merge, long minPixels, long maxPixels, float[] mean, float[] std,
      ImageFraming framing) {
    this.patch = patch;
    this.temporal = temporal;
    this.merge = merge;
    this.minPixels = minPixels;
    this.maxPixels = maxPixels;
    this.normalization = new PixelNormalization(mean, std);
    this.border = framing == ImageFraming.PAD ? Canvas.ofMean(mean) : null;
  }

  /**
   * @param nameForErrors how messages call the image, its file for instance
   * @throws BadInputException if one side is more than 200 times the other, or a square around it would be too large
   */
  public PixelValues process(RgbImage image, String nameForErrors) {
    int[] size = targetSize(image, nameForErrors);
    return patchify(BicubicResize.resize(border == null ? image : border.square(image), size[1], size[0]));
  }

  /**
   * Merge units, which become embeddings, that each processed image will have.
   *
   * @throws BadInputException as {@link #process}, naming the image by its name or number
   */
  public int[] rows(List<RgbImage> images) {
    int[] rows = new int[images.size()];
    for (int i = 0; i < rows.length; i++) {
      int[] size = targetSize(images.get(i), images.get(i).nameOr(i + 1));
      rows[i] = size[0] / (patch * merge) * (size[1] / (patch * merge));
    }
    return rows;
  }

  private int[] targetSize(RgbImage image, String nameForErrors) {
    AspectRatio.check(image.width(), image.height(), nameForErrors);
    if (border == null) {
      return smartResize(image.height(), image.width(), patch * merge, minPixels, maxPixels);
    }
    Canvas.checkSquare(image, nameForErrors);
    int longer = Math.max(image.width(), image.height());
    return smartResize(longer, longer, patch * merge, minPixels, maxPixels);
  }

  /**
   * The size an image is resized to: multiples of `factor` near the given one, its area within the limits where the
   * factor allows.
   *
   * @return {height, width}
   * @throws BadInputException if one side is more than 200 times the other
   */
  public static int[] smartResize(int height, int width, int factor, long minPixels, long maxPixels) {
    AspectRatio.check(width, height, "image");
    // rint rounds halves to even, as Python's round does
    double h = Math.rint((double) height / factor) * factor;
    double w = Math.rint((double) width / factor) * factor;
    double area = (double) height * width;
    if (h * w > maxPixels) {
      double beta = Math.sqrt(area / maxPixels);
      h = Math.floor(height / beta / factor) * factor;
      w = Math.floor(width / beta / factor) * factor;
    } else if (h * w < minPixels) {
      double beta = Math.sqrt(minPixels / area);
      h = Math.ceil(height * beta / factor) * factor;
      w = Math.ceil(width * beta / factor) * factor;
    }
    // the reference clamps only when shrinking; elsewhere it would fail on a side of 0
    return new int[] {Math.max(factor, (int) h), Math.max(factor, (int) w)};
  }

  private PixelValues patchify(RgbImage image) {
    int gridHeight = image.height() / patch;
    int gridWidth = image.width() / patch;
    float[] values = new float[Math.multiplyExact(gridHeight * gridWidth, CHANNELS * temporal * patch * patch)];
    int out = 0;
    for (int unitY = 0; unitY < gridHeight; unitY += merge) {
      for (int unitX = 0; unitX < gridWidth; unitX += merge) {
        for (int y = unitY; y < unitY + merge; y++) {
          for (int x = unitX; x < unitX + merge; x++) {
            out = writePatch(image, y * patch, x * patch, values, out);
          }
        }
      }
    }
    return new PixelValues(values, gridHeight, gridWidth);
  }

  /** One row: channel, frame, y, x. An image is a film of equal frames. */
  private int writePatch(RgbImage image, int top, int left, float[] values, int start) {
    int out = start;
    for (int c = 0; c < CHANNELS; c++) {
      for (int frame = 0; frame < temporal; frame++) {
        for (int y = top; y < top + patch; y++) {
          int at = CHANNELS * (y * image.width() + left) + c;
          for (int x = 0; x < patch; x++, at += CHANNELS) {
            values[out++] = normalization.of(c, image.rgb()[at]);
          }
        }
      }
    }
    return out;
  }
}
