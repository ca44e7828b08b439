// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.quantize;

/**
 * Which weights become smaller, and how. The projections of the language model always do; embeddings, norms and biases never.
 *
 * @param format of the weights
 * @param group inputs that share a scale, a multiple of 8; of INT4 alone
 * @param head the output matrix too, where it is not the embedding matrix
 * @param vision the vision tower and what follows it too
 */
public record QuantizeOptions(Format format, int group, boolean head, boolean vision) {
  /** Formats that are written. */
  public enum Format {
    /** E4M3, a scale per output, rounded to nearest. */
    FP8,
    /** Four bits, symmetric, a scale per output and group of inputs, inputs scaled by what the layers see. */
    INT4
  }

  public QuantizeOptions {
    if (format == Format.INT4 && (group < 8 || group % 8 != 0)) {
      throw new IllegalArgumentException("group is " + group + ", must be a multiple of 8");
    }
  }
}
