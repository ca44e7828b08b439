// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

/**
 * What the largest pass of a run takes, whatever is drawn.
 *
 * @param rows of the language model, as {@link PassRows#rows}
 * @param targets tokens that are learnt
 * @param positions one past the highest
 * @param features rows of all images of the pass
 * @param image size of the largest image: patches in the Qwen-VL family, tiles in the SigLIP family; 0: there are none
 */
public record PassSize(int rows, int targets, int positions, int features, int image) {}
