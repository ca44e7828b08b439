// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.KeyValues;

/** As what keys and values are kept while answers are generated. The vision tower and training keep none. */
public enum KvChoice {
  /** Numbers of the activations' type. */
  AUTO,
  /**
   * E4M3 codes with an F32 scale per row and head: about half the bytes of 16-bit numbers, and other tokens where it is close. Each row is
   * rounded when it is stored, also for the pass that stores it. With activations in BF16 and F16, for heads of 128 dimensions.
   */
  FP8;

  /** From the word of a command line: auto or fp8. @throws IllegalArgumentException for any other */
  public static KvChoice parse(String word) {
    return switch (word) {
      case "auto" -> AUTO;
      case "fp8" -> FP8;
      default -> throw new IllegalArgumentException("kv is '" + word + "', allowed are auto and fp8");
    };
  }

  /** @throws IllegalArgumentException when there are no kernels for it with such activations */
  public void requireFor(DType activations) {
    if (this == FP8 && !activations.isHalf()) {
      throw new IllegalArgumentException("kv fp8 goes with dtype bf16 and f16, not with " + activations.suffix());
    }
  }

  /** @throws IllegalArgumentException when there are no kernels for it with such activations and heads */
  public void requireFor(TextConfig text, DType activations) {
    requireFor(activations);
    if (this == FP8 && text.headDim() != KeyValues.CODED_DIM) {
      throw new IllegalArgumentException("kv fp8 is for heads of %d dimensions, the model has %d".formatted(KeyValues.CODED_DIM,
          text.headDim()));
    }
  }

  /** Bytes that a head's keys of one row take, and as many its values. */
  public int rowBytes(TextConfig text, DType activations) {
    return this == FP8 ? text.headDim() + Float.BYTES : text.headDim() * activations.bytes();
  }
}
