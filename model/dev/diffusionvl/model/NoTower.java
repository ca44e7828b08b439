// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import java.util.List;

/** A language model alone, which sees no images. */
public record NoTower() implements VisionTower {
  /** @throws BadInputException if there are images */
  static int[] rows(List<RgbImage> images) {
    if (!images.isEmpty()) {
      throw new BadInputException("prompt: the model is a language model without a vision tower, and sees no images");
    }
    return new int[0];
  }

  @Override
  public ImageEncoder newEncoder(Kernels kernels, Stream stream, Gemm gemm) {
    return new ImageEncoder() {
      @Override
      public List<Input> prepare(List<RgbImage> images) {
        rows(images);
        return List.of();
      }

      @Override
      public void close() {
        // nothing is open
      }
    };
  }
}
