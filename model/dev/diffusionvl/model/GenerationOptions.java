// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.model.constraint.Constraint;
import java.util.List;

/**
 * How to answer. Defaults are those of the command line; the {@code with} methods give copies that differ in one respect. Immutable
 * and safe for use by several threads. A value out of range is an IllegalArgumentException that names the field as the command
 * line does.
 *
 * {@snippet class=dev.diffusionvl.model.ApiExamplesTest region=options}
 *
 * @param genLength number of tokens to return; at least 0; with autoregressive decoding the most
 * @param decoding by blocks, all at once, or token by token
 * @param sampling how a token is chosen
 * @param compat the reference's batch-1 behaviour where it differs: mask id may be committed, over-long prompts are cut, the
 *     last store pass runs
 * @param execution how passes are run; changes no token
 * @param constraint which texts the answer may be; null: any
 */
public record GenerationOptions(int genLength, Decoding decoding, Sampling sampling, boolean compat, Execution execution,
    Constraint constraint) {

  /** Which masked positions a denoising step commits. */
  public enum Remasking {
    /** A fixed number per step, the most confident first. */
    LOW_CONFIDENCE_STATIC,
    /** All above the threshold, at least the static number. */
    LOW_CONFIDENCE_DYNAMIC
  }

  /** For diffusion models. */
  public static final GenerationOptions DEFAULTS = new GenerationOptions(128, Decoding.Block.DEFAULTS, Sampling.GREEDY, false,
      Execution.DEFAULTS, null);

  public GenerationOptions {
    Ranges.require(genLength >= 0 && genLength <= 1 << 20, "gen-length", genLength, "0 to 1048576");
    Ranges.require(decoding != null, "decoding", null, "not null");
    Ranges.require(sampling != null, "sampling", null, "not null");
    Ranges.require(execution != null, "execution", null, "not null");
    Ranges.require(constraint == null || !compat, "compat", true, "false with a constraint: the reference has none");
  }

  /** The defaults with the decoding that a checkpoint was trained for. */
  public static GenerationOptions of(ModelConfig config) {
    return DEFAULTS.withDecoding(Decoding.of(config));
  }

  public GenerationOptions withGenLength(int value) {
    return new GenerationOptions(value, decoding, sampling, compat, execution, constraint);
  }

  public GenerationOptions withDecoding(Decoding value) {
    return new GenerationOptions(genLength, value, sampling, compat, execution, constraint);
  }

  /** Of the same decoding. @throws IllegalArgumentException if it has no steps */
  public GenerationOptions withSteps(int value) {
    return withDecoding(decoding.withSteps(value));
  }

  /**
   * Of the same decoding.
   *
   * @param value B, or 0 for the checkpoint's own
   * @throws IllegalArgumentException if it has no blocks
   */
  public GenerationOptions withBlockSize(int value) {
    return withDecoding(decoding.withBlockSize(value));
  }

  /**
   * Of the same decoding.
   *
   * @param threshold τ, only with the dynamic rule
   * @throws IllegalArgumentException if it has no steps
   */
  public GenerationOptions withRemasking(Remasking value, float threshold) {
    return withDecoding(decoding.withRemasking(value, threshold));
  }

  public GenerationOptions withSampling(Sampling value) {
    return new GenerationOptions(genLength, decoding, value, compat, execution, constraint);
  }

  /** Sampling instead of the most likely token, by {@code temperature}, top-k (0: off) and top-p (1: off). */
  public GenerationOptions withSampling(float temperature, int topK, float topP) {
    return withSampling(new Sampling(temperature, topK, topP, sampling.seed(), sampling.uniforms()));
  }

  public GenerationOptions withSeed(long value) {
    return withSampling(new Sampling(sampling.temperature(), sampling.topK(), sampling.topP(), value, sampling.uniforms()));
  }

  /** @param rows see {@link Sampling#uniforms}; null for the generator keyed by the seed */
  public GenerationOptions withUniforms(List<double[]> rows) {
    return withSampling(new Sampling(sampling.temperature(), sampling.topK(), sampling.topP(), sampling.seed(), rows));
  }

  public GenerationOptions withCompat(boolean value) {
    return new GenerationOptions(genLength, decoding, sampling, value, execution, constraint);
  }

  public GenerationOptions withExecution(Execution value) {
    return new GenerationOptions(genLength, decoding, sampling, compat, value, constraint);
  }

  /** The answer is one of the constraint's texts (docs/structured-answers.md). @param value null: any text */
  public GenerationOptions withConstraint(Constraint value) {
    return new GenerationOptions(genLength, decoding, sampling, compat, execution, value);
  }
}
