// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.ImageTiles;
import dev.diffusionvl.loader.PixelValues;

/** An image of a training row as its family's vision tower takes it, still on the host. */
public sealed interface PreparedImage {
  /** Embeddings that the tower makes of it. */
  int rows();

  /**
   * For the Qwen-VL family.
   *
   * @param rows merge units
   */
  record Patches(PixelValues pixels, int rows) implements PreparedImage {}

  /** For the SigLIP family. */
  record Tiles(ImageTiles tiles) implements PreparedImage {
    @Override
    public int rows() {
      return tiles.rows().rows();
    }
  }
}
