// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;

/**
 * Which kernels multiply matrices in the language model: those of cuBLAS, or our own for few rows. In f32 the choice changes no token; in
 * bf16 the two may differ at near ties, and only {@link #OWN} gives a row the same bits in every pass. The vision tower always uses cuBLAS.
 */
public enum GemmChoice {
  /** By {@link #usesOwn the table}. */
  AUTO,
  /** Our own kernels for every pass, prefill included. */
  OWN,
  /** cuBLAS and elementwise kernels for every pass. */
  CUBLAS;

  /** From the word of a command line: auto, own or cublas. @throws IllegalArgumentException for any other */
  public static GemmChoice parse(String word) {
    return switch (word) {
      case "auto" -> AUTO;
      case "own" -> OWN;
      case "cublas" -> CUBLAS;
      default -> throw new IllegalArgumentException("gemm is '" + word + "', allowed are own, cublas and auto");
    };
  }

  /** On the emulated device cuBLAS is native code, many times faster than our kernels, which run thread by thread. */
  GemmChoice on(boolean emulatedDevice) {
    return this == AUTO && emulatedDevice ? CUBLAS : this;
  }

  /**
   * The table behind {@link #AUTO} on a GPU. A first choice by design and not yet by measurement: our kernels where reading the weights is
   * all that costs, which they do once for up to 64 rows; cuBLAS where arithmetic costs too; and in f32, where ours are for fidelity.
   */
  boolean usesOwn(DType dtype, int rows) {
    return switch (this) {
      case OWN -> true;
      case CUBLAS -> false;
      case AUTO -> dtype != DType.F32 && rows <= SkinnyWorkspace.MAX_ROWS;
    };
  }
}
