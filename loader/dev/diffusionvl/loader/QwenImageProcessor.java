// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * Image preprocessing of Qwen2.5-VL (spec 4.1): resize to multiples of a merge unit within the pixel limits, normalise, cut into
 * patches. Immutable and safe for use by several threads.
 */
public final class QwenImageProcessor {
  private static final int MAX_RATIO = 200;

  private final int patch;
  private final int temporal;
  private final int merge;
  private final long minPixels;
  private final long maxPixels;
  /** Per channel and byte the normalised value. */
  private final float[][] normalized = new float[3][256];

  /**
   * @throws IllegalArgumentException if the configuration is not of the Qwen-VL family
   */
  public QwenImageProcessor(ModelConfig config) {
    if (config.vision() == null) {
      throw new IllegalArgumentException("no Qwen vision tower in this configuration");
    }
    patch = config.vision().patchSize();
    temporal = config.vision().temporalPatchSize();
    merge = config.vision().spatialMergeSize();
    minPixels = config.minPixels();
    maxPixels = config.maxPixels();
    for (int c = 0; c < 3; c++) {
      for (int b = 0; b < 256; b++) {
        float scaled = (float) (b * (1 / 255.0));
        normalized[c][b] = (scaled - config.imageMean()[c]) / config.imageStd()[c];
      }
    }
  }

  /**
   * @param nameForErrors what to call the image, such as its file name
   * @throws BadInputException if one side is more than 200 times the other
   */
  public PixelValues process(RgbImage image, String nameForErrors) {
    if (Math.max(image.width(), image.height()) > (long) MAX_RATIO * Math.min(image.width(), image.height())) {
      throw new BadInputException(nameForErrors + ": size: " + image.width() + " x " + image.height()
          + " pixels, one side is more than " + MAX_RATIO + " times the other");
    }
    int[] size = smartResize(image.height(), image.width(), patch * merge, minPixels, maxPixels);
    return patches(BicubicResize.resize(image, size[1], size[0]));
  }

  /**
   * The size an image is brought to: multiples of {@code factor}, about the same aspect, area within the limits (which extreme
   * aspects may exceed by the rounding).
   *
   * @return {height, width}
   */
  public static int[] smartResize(int height, int width, int factor, long minPixels, long maxPixels) {
    // rint rounds halves to even, as the reference does
    long h = (long) Math.rint((double) height / factor) * factor;
    long w = (long) Math.rint((double) width / factor) * factor;
    double area = (double) height * width;
    if (h * w > maxPixels) {
      double beta = Math.sqrt(area / maxPixels);
      h = Math.max(factor, (long) Math.floor(height / beta / factor) * factor);
      w = Math.max(factor, (long) Math.floor(width / beta / factor) * factor);
    } else if (h * w < minPixels) {
      double beta = Math.sqrt(minPixels / area);
      h = (long) Math.ceil(height * beta / factor) * factor;
      w = (long) Math.ceil(width * beta / factor) * factor;
    }
    return new int[] {Math.toIntExact(h), Math.toIntExact(w)};
  }

  private PixelValues patches(RgbImage image) {
    int gridHeight = image.height() / patch;
    int gridWidth = image.width() / patch;
    int patchArea = patch * patch;
    float[] values = new float[gridHeight * gridWidth * 3 * temporal * patchArea];
    int row = 0;
    // merge units in raster order, inside a unit its patches in raster order
    for (int unitY = 0; unitY < gridHeight; unitY += merge) {
      for (int unitX = 0; unitX < gridWidth; unitX += merge) {
        for (int y = unitY; y < unitY + merge; y++) {
          for (int x = unitX; x < unitX + merge; x++) {
            fillPatch(image, x * patch, y * patch, values, row * 3 * temporal * patchArea);
            row++;
          }
        }
      }
    }
    return new PixelValues(values, gridHeight, gridWidth);
  }

  /** One row of the result: channel, frame, y, x; the frames of a still image are equal. */
  private void fillPatch(RgbImage image, int left, int top, float[] values, int start) {
    int patchArea = patch * patch;
    for (int c = 0; c < 3; c++) {
      int target = start + c * temporal * patchArea;
      for (int y = 0; y < patch; y++) {
        int source = 3 * ((top + y) * image.width() + left) + c;
        for (int x = 0; x < patch; x++) {
          values[target + y * patch + x] = normalized[c][image.rgb()[source + 3 * x] & 0xff];
        }
      }
      for (int frame = 1; frame < temporal; frame++) {
        System.arraycopy(values, target, values, target + frame * patchArea, patchArea);
      }
    }
  }
}
