// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.Set;

/**
 * Sizes of the Qwen vision tower and its merger.
 *
 * @param hiddenSize D, a multiple of {@code heads}
 * @param patchSize side of a patch in pixels
 * @param spatialMergeSize patches per side of a merge unit
 * @param windowSize side of an attention window in pixels, a multiple of patch size times merge size
 * @param outHiddenSize width of the merger's output, the H of the language model
 * @param fullAttentionBlocks indexes of the blocks that attend over the whole image
 */
public record VisionConfig(int depth, int hiddenSize, int heads, int intermediateSize, int patchSize,
    int temporalPatchSize, int spatialMergeSize, int windowSize, int inChannels, int outHiddenSize,
    Set<Integer> fullAttentionBlocks) {}
