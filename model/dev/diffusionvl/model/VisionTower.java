// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;


import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFamily;
import dev.diffusionvl.loader.QwenImageProcessor;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import java.util.Arrays;
import java.util.List;

/** The weights of a family's vision tower and of what follows it, and the encoders that use them. */
interface VisionTower {
  /** The tower of the configuration's family. */
  static VisionTower load(WeightUploader uploader, ModelConfig config) {
    return switch (config.family()) {
      case QWEN_VL -> new QwenVlTower(config, VisionWeights.load(uploader, config.vision()));
      case QWEN -> new SigLipTower(config, SigLipWeights.load(uploader, config.sigLip()));
    };
  }

  /**
   * Embeddings that each image takes in a prompt.
   *
   * @throws dev.diffusionvl.loader.BadInputException naming the image by its number if its shape is impossible
   */
  static int[] imageRows(ModelConfig config, List<RgbImage> images) {
    int[] rows = new int[images.size()];
    if (config.family() == ModelFamily.QWEN_VL) {
      QwenImageProcessor processor = new QwenImageProcessor(config);
      Arrays.setAll(rows, i -> processor.rows(images.get(i), images.get(i).nameOr(i + 1)));
    }
    return rows;
  }

  /** An encoder for one session. */
  ImageEncoder newEncoder(Kernels kernels, Stream stream, Gemm gemm);
}
