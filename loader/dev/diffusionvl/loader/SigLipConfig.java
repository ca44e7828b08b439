// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * Sizes of the SigLIP2 tower of the diffusionvl-qwen family (docs/model.md, "Released models"), and how images become its tiles.
 * Checkpoints rarely store the sizes; the released one has {@link #SO400M}.
 *
 * @param layers layers in use; the original tower has one more
 * @param heads a divisor of {@code hiddenSize}
 * @param imageSize side of the square input in pixels
 * @param anyres how a single image is tiled; null: an image is padded to a square, as several are
 */
public record SigLipConfig(int hiddenSize, int layers, int heads, int intermediateSize, int patchSize, int imageSize,
    double layerNormEps, AnyresConfig anyres) {
  /** siglip2-so400m-patch14-384, of whose 27 layers 26 are used. */
  public static final SigLipConfig SO400M = new SigLipConfig(1152, 26, 16, 4304, 14, 384, 1e-6, null);

  /** Patches along a side; pixels beyond the last whole patch are never read. */
  public int grid() {
    return imageSize / patchSize;
  }

  /** Rows of the position embedding, and of the features of one tile. */
  public int positions() {
    return grid() * grid();
  }

  SigLipConfig withAnyres(AnyresConfig value) {
    return new SigLipConfig(hiddenSize, layers, heads, intermediateSize, patchSize, imageSize, layerNormEps, value);
  }
}
