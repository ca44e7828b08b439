// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.file.Path;
import java.util.List;

/**
 * What the JSON files of a model directory say, checked (docs/model.md, "Configuration").
 *
 * @param modelType {@code model_type} of config.json, "" if it has none
 * @param vision the Qwen vision tower; null for the other families
 * @param maskTokenId id of a position not decoded yet; may have no text in the tokenizer; {@link #NO_MASK} for a plain base model without
 *     one
 * @param eosTokenIds each of them ends an autoregressive answer; the first is the one that ends a denoised one
 * @param blockSize diffusion block size, at least 1
 * @param minPixels least area of a resized image, in pixels
 * @param maxPixels largest area of a resized image, in pixels
 * @param tokenizerModelMaxLength limit on the rows of a prompt
 * @param imageMean per channel, RGB
 * @param imageStd per channel, RGB
 * @param sigLip the SigLIP tower; null for the other families
 * @param mropeSection rotary pairs of a head that turn with the time, row and column of a position, in this order (docs/model.md,
 *     "Autoregressive base"); empty where a position is a single number
 * @param diffusion false for a plain base model, which was never trained to fill in blocks
 */
public record ModelConfig(String modelType, TextConfig text, VisionConfig vision, int maskTokenId, List<Integer> eosTokenIds,
    int blockSize, long minPixels, long maxPixels, int tokenizerModelMaxLength, float[] imageMean, float[] imageStd,
    SigLipConfig sigLip, List<Integer> mropeSection, boolean diffusion) {

  /** {@link #maskTokenId} of a plain base model that has none. */
  public static final int NO_MASK = -1;

  public ModelConfig {
    eosTokenIds = List.copyOf(eosTokenIds);
    mropeSection = List.copyOf(mropeSection);
  }

  /** Text of the added token that stands for a mask where the configuration names none. */
  static final String MASK_TOKEN = "<|mask|>";

  /** The same model as it is decoded once it has been translated: by block diffusion. */
  public ModelConfig asDiffusion(int mask, int blocks) {
    return new ModelConfig(modelType, text, vision, mask, eosTokenIds, blocks, minPixels, maxPixels, tokenizerModelMaxLength, imageMean,
        imageStd, sigLip, List.of(), true);
  }

  /** The id that ends a denoised answer. */
  public int eosTokenId() {
    return eosTokenIds.getFirst();
  }

  /**
   * The same model over images that are prepared in another way; of the SigLIP family.
   *
   * @param mode see {@link SigLipConfig#withImages}
   */
  public ModelConfig withImages(String mode) {
    return new ModelConfig(modelType, text, vision, maskTokenId, eosTokenIds, blockSize, minPixels, maxPixels, tokenizerModelMaxLength,
        imageMean, imageStd, sigLip.withImages(mode), mropeSection, diffusion);
  }

  /** Told by the tower: each family has its own, or none. */
  public ModelFamily family() {
    return sigLip != null ? ModelFamily.QWEN_SIGLIP : vision != null ? ModelFamily.QWEN_VL : ModelFamily.QWEN_TEXT;
  }

  /**
   * Reads config.json and, where it leaves fields to them, preprocessor_config.json and vision_config.json. Memory: a
   * small multiple of the files' sizes, which may be 4 MB each.
   *
   * @throws BadInputException naming file and field, if something is missing, of the wrong kind or out of range
   */
  public static ModelConfig load(Path modelDir) {
    return new ConfigReader(modelDir).read();
  }
}
