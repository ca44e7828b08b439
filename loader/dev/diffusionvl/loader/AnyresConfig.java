// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

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

  private static final Pattern MODE = Pattern.compile("anyres(?:_max_([1-9]\\d{0,3}))?");

  /** N of {@code anyres_max_N}, infinite for {@code anyres}, empty for anything else. */
  static OptionalDouble maxTiles(String mode) {
    Matcher matcher = MODE.matcher(mode);
    return !matcher.matches() ? OptionalDouble.empty()
        : OptionalDouble.of(matcher.group(1) == null ? Double.POSITIVE_INFINITY : Integer.parseInt(matcher.group(1)));
  }

  /** As {@code image_aspect_ratio} spells it. */
  String mode() {
    return Double.isInfinite(maxTiles) ? "anyres" : "anyres_max_" + (int) maxTiles;
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
