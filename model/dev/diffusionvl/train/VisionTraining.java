// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.NoTower;
import dev.diffusionvl.model.QwenVlTower;
import dev.diffusionvl.model.SigLipTower;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.train.VisionActivations.Keep;

/**
 * The way from a prepared image to the features that the language model sees, and back. Weights without a place among the gradients are
 * frozen: where nothing of the tower is trained its activations are not kept, and the way back ends at the projector.
 *
 * <p>A pass takes several images one after another, first forward, then back. Only the activations of one are in memory: those of the last
 * forward pass. {@link #backward} of another image runs its forward pass again. So memory does not grow with the images of a pass, and a
 * pass with one image computes nothing twice.
 *
 * <p>For one thread at a time, like its stream. Holds memory for the largest image so far.
 */
sealed interface VisionTraining extends AutoCloseable permits QwenVisionTraining, SigLipVisionTraining {
  /**
   * For the tower of the model's family.
   *
   * @param gradients to which the gradients of the weights are added
   * @param recompute keep only what goes into the layers, and compute the rest again on the way back
   * @param cache of what the tower makes of images; null: none, as with a tower that is trained
   */
  static VisionTraining of(DiffusionVl model, Stream stream, Gemm gemm, Twin gradients, boolean recompute, FeatureCache cache) {
    return switch (model.vision()) {
      case QwenVlTower tower -> new QwenVisionTraining(model, tower.weights(), stream, gemm, gradients, recompute, cache);
      case SigLipTower tower -> new SigLipVisionTraining(model, tower.weights(), stream, gemm, gradients, recompute, cache);
      case NoTower _ -> throw new IllegalArgumentException("a language model alone is not trained here");
    };
  }

  /**
   * Bytes of device memory that the largest image takes, before anything is loaded.
   *
   * @param size of the image: patches in the Qwen-VL family, tiles in the SigLIP family
   * @param towerTrained whether the tower's weights, not just the projector's, are trained
   */
  static long bytes(ModelConfig config, DType dtype, int size, boolean towerTrained, boolean recompute) {
    Keep keep = keep(towerTrained, recompute);
    return switch (config.family()) {
      case QWEN_VL -> QwenVisionTraining.bytes(config, dtype, size, keep);
      case QWEN_SIGLIP -> SigLipVisionTraining.bytes(config, dtype, size, keep);
      case QWEN_TEXT -> 0;
    };
  }

  /** What has to be kept of the tower. */
  static Keep keep(boolean towerTrained, boolean recompute) {
    return !towerTrained ? Keep.OUTPUT : recompute ? Keep.LAYER_INPUTS : Keep.ALL;
  }

  /** Takes the memory for an image of that size, patches or tiles as in {@link #bytes}. */
  void reserve(int size);

  /**
   * Computes the features of an image, as inference does.
   *
   * @param target receives the features [image rows, H], in the model's dtype
   */
  void features(PreparedImage image, DeviceBuffer target);

  /**
   * Adds the gradients of all trained weights.
   *
   * @param dFeatures F32 [image rows, H]: gradient of the image's features
   */
  void backward(PreparedImage image, DeviceBuffer dFeatures);

  /** Frees the memory; another image takes it again. Idempotent. */
  @Override
  void close();
}
