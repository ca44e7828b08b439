// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import java.util.List;

/**
 * How to decode. Defaults are those of the command line; the {@code with} methods give copies that differ in one respect. Immutable
 * and safe for use by several threads. A value out of range is an IllegalArgumentException that names the field as the command
 * line does.
 *
 * {@snippet class=dev.diffusionvl.model.ApiExamplesTest region=options}
 *
 * @param genLength number of tokens to return; at least 0
 * @param steps denoising steps per block, S; at least 1
 * @param blockSize B, or 0 for the checkpoint's own; B &gt;= prompt + genLength is the full-diffusion ablation
 * @param remasking which positions a step commits
 * @param confidenceThreshold τ of dynamic remasking; commits what is strictly above
 * @param temperature 0 takes the most likely token; otherwise tokens are sampled
 * @param topK keep the k most likely ids (0: off), only with temperature
 * @param topP nucleus mass (1: off), only with temperature
 * @param seed of the counter generator, only with temperature
 * @param uniforms numbers in [0,1) to sample with instead: one row of B a denoise forward, counted over the generation; or null
 * @param compat the reference's batch-1 behaviour where it differs: mask id may be committed, over-long prompts are cut, the
 *     last store pass runs
 * @param execution how passes are run; changes no token
 */
public record GenerationOptions(
    int genLength,
    int steps,
    int blockSize,
    Remasking remasking,
    float confidenceThreshold,
    float temperature,
    int topK,
    float topP,
    long seed,
    List<double[]> uniforms,
    boolean compat,
    Execution execution) {

  /** Which masked positions a denoising step commits. */
  public enum Remasking {
    /** A fixed number per step, the most confident first. */
    LOW_CONFIDENCE_STATIC,
    /** All above the threshold, at least the static number. */
    LOW_CONFIDENCE_DYNAMIC
  }

  public static final GenerationOptions DEFAULTS = new GenerationOptions(128, 8, 0, Remasking.LOW_CONFIDENCE_STATIC, 0.85f, 0f, 0,
      1f, 0, null, false, Execution.DEFAULTS);

  /** Logits are divided by the temperature; by less than this they might be infinite, as if the weights were broken. */
  private static final float MIN_TEMPERATURE = 1e-6f;

  public GenerationOptions {
    require(genLength >= 0 && genLength <= 1 << 20, "gen-length", genLength, "0 to 1048576");
    require(steps >= 1 && steps <= 1 << 20, "steps", steps, "1 to 1048576");
    require(blockSize >= 0 && blockSize <= 1 << 20, "block-size", blockSize, "1 to 1048576");
    require(!Float.isNaN(confidenceThreshold), "confidence-threshold", confidenceThreshold, "a number");
    require(temperature == 0 || temperature >= MIN_TEMPERATURE && temperature < Float.POSITIVE_INFINITY, "temperature", temperature,
        "0 (the most likely token), or " + MIN_TEMPERATURE + " and more");
    require(topK >= 0, "top-k", topK, "0 or more");
    require(topP > 0 && topP <= 1, "top-p", topP, "above 0 and at most 1");
    require(execution != null, "execution", execution, "not null");
  }

  private static void require(boolean ok, String name, Object value, String allowed) {
    if (!ok) {
      throw new IllegalArgumentException(name + " is " + value + ", allowed is " + allowed);
    }
  }

  public GenerationOptions withGenLength(int value) {
    return new GenerationOptions(value, steps, blockSize, remasking, confidenceThreshold, temperature, topK, topP, seed, uniforms, compat,
        execution);
  }

  public GenerationOptions withSteps(int value) {
    return new GenerationOptions(genLength, value, blockSize, remasking, confidenceThreshold, temperature, topK, topP, seed,
        uniforms, compat, execution);
  }

  /** @param value B, or 0 for the checkpoint's own */
  public GenerationOptions withBlockSize(int value) {
    return new GenerationOptions(genLength, steps, value, remasking, confidenceThreshold, temperature, topK, topP, seed, uniforms, compat,
        execution);
  }

  /** @param threshold τ, only with the dynamic rule */
  public GenerationOptions withRemasking(Remasking value, float threshold) {
    return new GenerationOptions(genLength, steps, blockSize, value, threshold, temperature, topK, topP, seed, uniforms, compat, execution);
  }

  /** Sampling instead of the most likely token, by {@code temperature}, top-k (0: off) and top-p (1: off). */
  public GenerationOptions withSampling(float temperature, int topK, float topP) {
    return new GenerationOptions(genLength, steps, blockSize, remasking, confidenceThreshold, temperature, topK, topP, seed,
        uniforms, compat, execution);
  }

  public GenerationOptions withSeed(long value) {
    return new GenerationOptions(genLength, steps, blockSize, remasking, confidenceThreshold, temperature, topK, topP, value,
        uniforms, compat, execution);
  }

  /** @param rows one row of B numbers in [0,1) a denoise forward; null for the generator keyed by the seed */
  public GenerationOptions withUniforms(List<double[]> rows) {
    return new GenerationOptions(genLength, steps, blockSize, remasking, confidenceThreshold, temperature, topK, topP, seed, rows,
        compat, execution);
  }

  public GenerationOptions withCompat(boolean value) {
    return new GenerationOptions(genLength, steps, blockSize, remasking, confidenceThreshold, temperature, topK, topP, seed,
        uniforms, value, execution);
  }

  public GenerationOptions withExecution(Execution value) {
    return new GenerationOptions(genLength, steps, blockSize, remasking, confidenceThreshold, temperature, topK, topP, seed, uniforms,
        compat, value);
  }
}
