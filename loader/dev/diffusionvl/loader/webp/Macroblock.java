// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

/** What the bit stream says of one macroblock. */
final class Macroblock {
  /** Prediction of a whole block by subblocks with a mode each. */
  static final int SUBBLOCKS = 10;

  /** Of luma: a mode of {@link Prediction}, or {@link #SUBBLOCKS}. */
  int lumaMode;
  int chromaMode;
  int segment;
  boolean skipped;
  final int[] subblockModes = new int[16];
  /** Dequantized, 16 for each of 16 luma, 4 U and 4 V subblocks. */
  final int[] coefficients = new int[24 * 16];
  boolean hasCoefficients;
}
