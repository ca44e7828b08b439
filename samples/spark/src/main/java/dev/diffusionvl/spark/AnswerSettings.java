// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.model.GemmChoice;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.KvChoice;
import dev.diffusionvl.runtime.DType;
import java.io.Serializable;

/**
 * How rows are answered: all that the driver sends to the tasks. Weights are not sent, every executor finds them by their path.
 *
 * @param engine the model and what it runs on
 * @param genLength tokens of an answer at most
 * @param steps denoising steps per block; 0: the model's default
 * @param threshold above which confidence a step commits a token; 0: a fixed number per step
 * @param temperature 0: the most likely tokens
 * @param seed of the sampling, the same for each row
 * @param imageFolder folder that the images' names are relative to; empty: they are whole paths
 * @param maxPixels of an image; a larger one is its row's error
 * @param rowsInFlight rows that one task has in the engine at a time
 */
record AnswerSettings(EngineSettings engine, int genLength, int steps, float threshold, float temperature, long seed, String imageFolder,
    long maxPixels, int rowsInFlight) implements Serializable {

  /**
   * What engines are told apart by.
   *
   * @param model path of the checkpoint folder on every executor
   * @param device {@code auto}, {@code gpu}, {@code gpu:N} or {@code emulated}
   * @param dtype BF16, F16 or F32
   * @param kv how keys and values are kept
   * @param slots rows that are answered at the same time, all tasks of the executor together
   */
  record EngineSettings(String model, String device, DType dtype, GemmChoice gemm, KvChoice kv, int slots) implements Serializable {
    EngineSettings withDevice(String value) {
      return new EngineSettings(model, value, dtype, gemm, kv, slots);
    }
  }

  /** How the model answers. @throws BadInputException naming a value that is out of range or of no use to the model */
  GenerationOptions generation(ModelConfig config) {
    try {
      GenerationOptions options = GenerationOptions.of(config).withGenLength(genLength).withSampling(temperature, 0, 1).withSeed(seed);
      options = steps == 0 ? options : options.withSteps(steps);
      return threshold == 0 ? options : options.withRemasking(GenerationOptions.Remasking.LOW_CONFIDENCE_DYNAMIC, threshold);
    } catch (IllegalArgumentException e) {
      throw new BadInputException(e.getMessage(), e);
    }
  }
}
