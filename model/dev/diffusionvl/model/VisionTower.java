// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;


import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;

/** The weights of a family's vision tower and of what follows it, and the encoders that use them. */
interface VisionTower {
  /** The tower of the configuration's family. */
  static VisionTower load(WeightUploader uploader, ModelConfig config) {
    return switch (config.family()) {
      case QWEN_VL -> new QwenVlTower(config, VisionWeights.load(uploader, config.vision()));
      case QWEN -> new SigLipTower(config, SigLipWeights.load(uploader, config.sigLip()));
    };
  }

  /** An encoder for one session. */
  ImageEncoder newEncoder(Kernels kernels, Stream stream, Gemm gemm);
}
