// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.QwenImageProcessor;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.loader.SigLipImageProcessor;
import dev.diffusionvl.runtime.Conv;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import java.util.Arrays;
import java.util.List;

/** The weights of a family's vision tower and of what follows it, and the encoders that use them. */
public sealed interface VisionTower permits QwenVlTower, SigLipTower, NoTower {
  /** What a session keeps for its next image at most. A larger image gives its memory back, for it may be needed elsewhere. */
  long KEPT_BYTES = 512L << 20;

  /** The tower of the configuration's family. */
  static VisionTower load(WeightUploader uploader, ModelConfig config) {
    return switch (config.family()) {
      case QWEN_VL -> new QwenVlTower(config, VisionWeights.load(uploader, config.vision()));
      case QWEN_SIGLIP -> new SigLipTower(config, SigLipWeights.load(uploader, config.sigLip()), Conv.available());
      case QWEN_TEXT -> new NoTower();
    };
  }

  /**
   * Embeddings that each image takes in a prompt.
   *
   * @throws dev.diffusionvl.loader.BadInputException naming the image by its name or number if its shape is impossible
   */
  static int[] imageRows(ModelConfig config, List<RgbImage> images) {
    return switch (config.family()) {
      case QWEN_VL -> new QwenImageProcessor(config).rows(images);
      case QWEN_SIGLIP -> new SigLipImageProcessor(config).rows(images);
      case QWEN_TEXT -> NoTower.rows(images);
    };
  }

  /**
   * Bytes of device memory that encoding the largest of some images takes beside its embeddings, before anything is loaded.
   *
   * @param images of one prompt
   */
  static long bytes(ModelConfig config, DType dtype, List<RgbImage> images) {
    return switch (config.family()) {
      case QWEN_VL -> {
        int unit = config.vision().spatialMergeSize() * config.vision().spatialMergeSize();
        int rows = Arrays.stream(imageRows(config, images)).max().orElse(0);
        yield QwenVlVision.bytes(config.vision(), dtype, Math.multiplyExact(rows, unit));
      }
      case QWEN_SIGLIP -> SigLipVision.bytes(config, dtype, new SigLipImageProcessor(config).tiles(images));
      case QWEN_TEXT -> 0;
    };
  }

  /** What the user should know about how images are encoded here, a line each. */
  default List<String> remarks() {
    return List.of();
  }

  /** An encoder for one session. */
  ImageEncoder newEncoder(Kernels kernels, Stream stream, Gemm gemm);
}
