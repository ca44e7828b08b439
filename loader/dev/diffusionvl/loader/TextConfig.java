// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * Sizes of the language model.
 *
 * @param hiddenSize H
 * @param heads query heads, a multiple of {@code kvHeads}
 * @param headDim size of one head, even
 * @param vocabSize rows of the embedding table, more than the tokenizer has ids
 * @param maxPositionEmbeddings limit on prompt plus generated rows
 * @param tieWordEmbeddings whether the embedding table is the output matrix too
 */
public record TextConfig(int hiddenSize, int layers, int heads, int kvHeads, int headDim, int intermediateSize,
    int vocabSize, int maxPositionEmbeddings, double rmsNormEps, double ropeTheta, boolean tieWordEmbeddings) {}
