// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.model.GenerationOptions.Remasking;

/**
 * How an answer comes about: by blocks, all at once, or token by token (docs/decoding.md). Immutable configuration; what the passes and
 * the schedule of a decoding are for a model is said by {@link DecodingRules}. A value out of range is an IllegalArgumentException that
 * names the field as the command line does.
 */
public sealed interface Decoding {
  /** The name on the command line: {@code block}, {@code full} or {@code autoregressive}. */
  String label();

  /**
   * A copy with so many denoising steps.
   *
   * @throws IllegalArgumentException if this decoding has no steps
   */
  default Decoding withSteps(int value) {
    throw inapplicable("steps");
  }

  /**
   * A copy with blocks of this size.
   *
   * @throws IllegalArgumentException if this decoding has no blocks
   */
  default Decoding withBlockSize(int value) {
    throw inapplicable("block-size");
  }

  /**
   * A copy whose steps commit by this rule.
   *
   * @throws IllegalArgumentException if this decoding has no steps
   */
  default Decoding withRemasking(Remasking value, float threshold) {
    throw inapplicable("remasking");
  }

  /** Whether masks are filled in steps, of which there is a number and a rule. */
  default boolean hasSteps() {
    return true;
  }

  /** Whether a token ends the answer. */
  default boolean ends(ModelConfig config, int id) {
    return id == config.eosTokenId();
  }

  /** By what the logits of tokens that have been there are divided where positive, and multiplied where negative; 1: nothing happens. */
  default float repetitionPenalty() {
    return 1;
  }

  /** Prompt and answer together take a multiple of so many rows of keys and values. */
  default int blockSize(ModelConfig config) {
    return 1;
  }

  private IllegalArgumentException inapplicable(String field) {
    return new IllegalArgumentException(field + " is of no use to the decoding " + label());
  }

  /** What a checkpoint was trained for: blocks, or token by token where it is no diffusion model. */
  static Decoding of(ModelConfig config) {
    return config.diffusion() ? Block.DEFAULTS : new Autoregressive();
  }

  /**
   * Block after block; within a block the most confident positions first (docs/model.md, "Block-diffusion generation").
   *
   * @param size B, or 0 for the checkpoint's own; if B holds prompt and answer, they are one block, as the reference has it
   * @param steps denoising steps per block, S; at least 1
   * @param remasking which positions a step commits
   * @param confidenceThreshold τ of dynamic remasking; commits what is strictly above
   */
  record Block(int size, int steps, Remasking remasking, float confidenceThreshold) implements Decoding {
    public static final Block DEFAULTS = new Block(0, 8, Remasking.LOW_CONFIDENCE_STATIC, 0.85f);

    public Block {
      checkSteps(size, steps, remasking, confidenceThreshold);
    }

    @Override
    public String label() {
      return "block";
    }

    @Override
    public int blockSize(ModelConfig config) {
      return size == 0 ? config.blockSize() : size;
    }

    @Override
    public Block withSteps(int value) {
      return new Block(size, value, remasking, confidenceThreshold);
    }

    @Override
    public Block withBlockSize(int value) {
      return new Block(value, steps, remasking, confidenceThreshold);
    }

    @Override
    public Block withRemasking(Remasking value, float threshold) {
      return new Block(size, steps, value, threshold);
    }
  }

  /**
   * Prompt and answer as one block, which every step computes anew (docs/model.md, "Facts about the reference", full diffusion).
   *
   * @param span positions that the schedule of the Qwen-VL family spreads over the steps, 0: those of prompt and answer; the SigLIP
   *     family's spreads those of the answer alone
   * @param steps denoising steps for the whole answer; at least 1
   * @param remasking which positions a step commits
   * @param confidenceThreshold τ of dynamic remasking; commits what is strictly above
   */
  record Full(int span, int steps, Remasking remasking, float confidenceThreshold) implements Decoding {
    public Full {
      checkSteps(span, steps, remasking, confidenceThreshold);
    }

    @Override
    public String label() {
      return "full";
    }

    @Override
    public Full withSteps(int value) {
      return new Full(span, value, remasking, confidenceThreshold);
    }

    @Override
    public Full withBlockSize(int value) {
      return new Full(value, steps, remasking, confidenceThreshold);
    }

    @Override
    public Full withRemasking(Remasking value, float threshold) {
      return new Full(span, steps, value, threshold);
    }
  }

  /**
   * Token after token, each row seeing those before it (docs/model.md, "Autoregressive base").
   *
   * @param repetitionPenalty for tokens of the prompt and of the answer so far; above 0, 1: none
   */
  record Autoregressive(float repetitionPenalty) implements Decoding {
    public Autoregressive {
      Ranges.require(repetitionPenalty > 0 && repetitionPenalty < Float.POSITIVE_INFINITY, "repetition-penalty", repetitionPenalty,
          "above 0");
    }

    /** Without a penalty. */
    public Autoregressive() {
      this(1);
    }

    @Override
    public String label() {
      return "autoregressive";
    }

    @Override
    public boolean hasSteps() {
      return false;
    }

    @Override
    public boolean ends(ModelConfig config, int id) {
      return config.eosTokenIds().contains(id);
    }
  }

  private static void checkSteps(int size, int steps, Remasking remasking, float threshold) {
    Ranges.require(steps >= 1 && steps <= 1 << 20, "steps", steps, "1 to 1048576");
    Ranges.require(size >= 0 && size <= 1 << 20, "block-size", size, "1 to 1048576");
    Ranges.require(remasking != null, "remasking", null, "not null");
    Ranges.require(!Float.isNaN(threshold), "confidence-threshold", threshold, "a number");
  }
}
