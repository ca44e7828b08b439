// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.List;

/**
 * Sizes of the SigLIP2 tower of the diffusionvl-qwen family (docs/model.md, "Released models"), and how images become its tiles.
 * Checkpoints rarely store the sizes; the released one has {@link #SO400M}.
 *
 * @param layers layers in use; the original tower has one more
 * @param heads a divisor of {@code hiddenSize}
 * @param imageSize side of the square input in pixels
 * @param anyres how a single image is tiled; null: it is one square, as each of several images is
 * @param stretched how an image becomes one square: true, by resizing that ignores its shape ({@code image_aspect_ratio} "square",
 *     which has no newline row: stage 1 of training); false, by padding first
 */
public record SigLipConfig(int hiddenSize, int layers, int heads, int intermediateSize, int patchSize, int imageSize,
    double layerNormEps, AnyresConfig anyres, boolean stretched) {
  /** siglip2-so400m-patch14-384, of whose 27 layers 26 are used. */
  public static final SigLipConfig SO400M = new SigLipConfig(1152, 26, 16, 4304, 14, 384, 1e-6, null, false);

  /** Patches along a side; pixels beyond the last whole patch are never read. */
  public int grid() {
    return imageSize / patchSize;
  }

  /** Rows of the position embedding, and of the features of one tile. */
  public int positions() {
    return grid() * grid();
  }

  /** The same tower over single images that are tiled; null: padded to one square. */
  SigLipConfig withAnyres(AnyresConfig value) {
    return new SigLipConfig(hiddenSize, layers, heads, intermediateSize, patchSize, imageSize, layerNormEps, value, false);
  }

  /**
   * The same tower over images that are prepared in another way.
   *
   * @param mode as {@code image_aspect_ratio} spells it: pad, square, anyres or anyres_max_N
   * @throws IllegalArgumentException if it is none of these
   */
  public SigLipConfig withImages(String mode) {
    List<AnyresConfig.Resolution> canvases = anyres == null ? AnyresConfig.upToSixBySix(imageSize) : anyres.resolutions();
    return switch (mode) {
      case "pad" -> withAnyres(null);
      case "square" -> withStretchedImages();
      default -> withAnyres(new AnyresConfig(canvases, AnyresConfig.maxTiles(mode).orElseThrow(() -> new IllegalArgumentException(
          "'" + mode + "' is not supported; pad, square, anyres and anyres_max_N are"))));
    };
  }

  /** How images are prepared, as {@code image_aspect_ratio} spells it. */
  public String images() {
    return stretched ? "square" : anyres == null ? "pad" : anyres.mode();
  }

  /** The same tower over images that are resized to one square whatever their shape. */
  public SigLipConfig withStretchedImages() {
    return new SigLipConfig(hiddenSize, layers, heads, intermediateSize, patchSize, imageSize, layerNormEps, null, true);
  }
}
