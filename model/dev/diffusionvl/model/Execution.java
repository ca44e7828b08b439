// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

/**
 * How the passes of a generation are run. None of these switches changes a token.
 *
 * @param graphs passes of a shape that comes again are replayed as one CUDA graph; otherwise each kernel is launched
 * @param fusedStore keys and values of a finished block are stored by the next block's first denoising pass, and those of the prompt by
 *     the very first one; otherwise by passes of their own
 * @param speculate most drafts of the states to come that a denoising pass carries, 0 to {@value #MAX_SPECULATE}; fewer where blocks are
 *     large, and without effect where tokens are drawn (temperature above 0)
 */
public record Execution(boolean graphs, boolean fusedStore, int speculate) {
  public static final int MAX_SPECULATE = 7;

  public static final Execution DEFAULTS = new Execution(true, true, 0);

  public Execution {
    if (speculate < 0 || speculate > MAX_SPECULATE) {
      throw new IllegalArgumentException("speculate is " + speculate + ", allowed is 0 to " + MAX_SPECULATE);
    }
  }
}
