// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * Sizes of the SigLIP2 tower and the projector of the diffusionvl-qwen family (spec 1). Its checkpoints do not store
 * them; only {@link #SO400M} exists.
 *
 * @param layers layers in use; the original tower has one more
 * @param imageSize side of the square input in pixels
 */
public record SigLipConfig(int hiddenSize, int layers, int heads, int intermediateSize, int patchSize, int imageSize,
    double layerNormEps) {
  /** siglip2-so400m-patch14-384. */
  public static final SigLipConfig SO400M = new SigLipConfig(1152, 26, 16, 4304, 14, 384, 1e-6);

  /** Rows of the position embedding; pixels beyond the last whole patch are never read. */
  public int positions() {
    int side = imageSize / patchSize;
    return side * side;
  }
}
