// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.ArrayList;
import java.util.List;

/**
 * How a single image is cut into tiles ({@code anyres_max_N} with {@code spatial_unpad}; docs/model.md, "Image preprocessing: SigLIP").
 *
 * @param resolutions canvases to choose from, in order of preference, whole tiles each
 * @param maxTiles N: the mosaic's features are shrunk to about the number of N tiles; infinite for plain {@code anyres}
 */
public record AnyresConfig(List<Resolution> resolutions, double maxTiles) {
  /** Size of a canvas in pixels. */
  public record Resolution(int width, int height) {}

  public AnyresConfig {
    resolutions = List.copyOf(resolutions);
  }

  /** Every canvas of up to six by six tiles, narrow ones first. */
  static List<Resolution> upToSixBySix(int tile) {
    List<Resolution> all = new ArrayList<>();
    for (int across = 1; across <= 6; across++) {
      for (int down = 1; down <= 6; down++) {
        all.add(new Resolution(across * tile, down * tile));
      }
    }
    return all;
  }
}
