// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/** What the Qwen-VL family's processor does with an image's shape before it resizes it (docs/model.md, "Image preprocessing: Qwen"). */
public enum ImageFraming {
  /**
   * Nothing: the shape is kept, as in the reference's evaluation, in every generation here, and in training unless padding is asked for.
   */
  AS_IS,
  /** The image is put in the middle of a square of the mean colour, as in the reference's training. */
  PAD
}
