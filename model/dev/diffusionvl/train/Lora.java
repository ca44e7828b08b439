// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

/**
 * Low-rank adaptation of the language model (Hu et al., 2021): each projection of a layer, y = x Wᵀ, becomes
 * y = x Wᵀ + (alpha / rank) (x Aᵀ) Bᵀ, of which only A [rank, in] and B [out, rank] are trained.
 *
 * @param rank at least 1
 * @param alpha above 0
 */
public record Lora(int rank, double alpha) {
  public Lora {
    if (rank < 1 || !(alpha > 0) || Double.isInfinite(alpha)) {
      throw new IllegalArgumentException("rank " + rank + " and alpha " + alpha + ": rank must be at least 1, alpha a number above 0");
    }
  }

  /** What the product of A and B counts. */
  float scale() {
    return (float) (alpha / rank);
  }
}
