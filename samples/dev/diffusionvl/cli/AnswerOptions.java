// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.model.Decoding;
import dev.diffusionvl.model.Execution;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.Sampling;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Options of every command that answers questions: the model, how it decodes, and on what. */
final class AnswerOptions {
  private static final List<String> OF_DIFFUSION = List.of("--steps", "--block-size", "--remasking", "--confidence-threshold");

  @Spec(Spec.Target.MIXEE) private CommandSpec spec;

  @Mixin private ModelChoice model;

  @Option(names = "--prompt-form", paramLabel = "FORM", defaultValue = "official", description = "official or qwen-vl")
  private String promptForm;

  @Option(names = "--gen-length", paramLabel = "N", defaultValue = "128", description = "tokens to generate at most")
  private int genLength;

  @Option(names = "--decoding", paramLabel = "HOW", description = "block, full (one block) or autoregressive (default: what the model "
      + "was trained for)")
  private String decoding;

  @Option(names = "--steps", paramLabel = "N", defaultValue = "8", description = "denoising steps per block")
  private int steps;

  @Option(names = "--block-size", paramLabel = "N", description = "tokens in a block (default: the checkpoint's)")
  private Integer blockSize;

  @Option(names = "--remasking", paramLabel = "RULE", defaultValue = "low_confidence_static",
      description = "low_confidence_static or low_confidence_dynamic")
  private String remasking;

  @Option(names = "--confidence-threshold", paramLabel = "P", defaultValue = "0.85", description = "of dynamic remasking")
  private float confidenceThreshold;

  @Option(names = "--temperature", paramLabel = "T", defaultValue = "0", description = "0: most likely token, else sampling")
  private float temperature;

  @Option(names = "--top-k", paramLabel = "K", defaultValue = "0", description = "sample among the K likeliest (0: all)")
  private int topK;

  @Option(names = "--top-p", paramLabel = "P", defaultValue = "1.0", description = "sample within this probability mass")
  private float topP;

  @Option(names = "--seed", paramLabel = "N", defaultValue = "0", description = "of the sampling")
  private long seed;

  @Option(names = "--uniforms", paramLabel = "FILE", description = "JSON: a row of numbers in [0,1) for each denoise forward")
  private Path uniforms;

  @Option(names = "--compat", description = "the reference's batch-1 behaviour where it differs")
  private boolean compat;

  @Option(names = "--no-graph", description = "launch each kernel of a pass instead of replaying it as a CUDA graph")
  private boolean noGraph;

  @Option(names = "--no-fused-store", description = "store the prompt and each finished block in a pass of its own")
  private boolean noFusedStore;

  @Option(names = "--speculate", paramLabel = "N", defaultValue = "0", description = "drafts of the states to come that a denoising pass"
      + " carries, 0 to 7: the same tokens in fewer passes; no effect with a temperature above 0")
  private int speculate;

  /** What was asked for, as far as it can be checked before the model is known. */
  void check() {
    generation(decoding == null ? "block" : decoding);
  }

  /** How the model answers; says what of the options has no effect on that. */
  GenerationOptions generation(ModelConfig config) {
    if (decoding == null && !config.diffusion()) {
      System.err.println("dvl: no diffusion model: decoding is autoregressive");
    }
    GenerationOptions options = generation(decoding == null ? Decoding.of(config).label() : decoding);
    if (!options.decoding().hasSteps()) {
      OF_DIFFUSION.stream().filter(spec.commandLine().getParseResult()::hasMatchedOption)
          .forEach(option -> System.err.println("dvl: " + option + " has no effect on the decoding " + options.decoding().label()));
    }
    return options;
  }

  private Decoding decoding(String label) {
    var rule = ModelChoice.choice("remasking", remasking, "low_confidence_static", GenerationOptions.Remasking.LOW_CONFIDENCE_STATIC,
        "low_confidence_dynamic", GenerationOptions.Remasking.LOW_CONFIDENCE_DYNAMIC);
    int size = blockSize == null ? 0 : blockSize;
    return switch (label) {
      case "block" -> new Decoding.Block(size, steps, rule, confidenceThreshold);
      case "full" -> new Decoding.Full(size, steps, rule, confidenceThreshold);
      case "autoregressive" -> new Decoding.Autoregressive();
      default -> throw new Dvl.UsageException("--decoding is '" + label + "', allowed are block, full and autoregressive");
    };
  }

  private GenerationOptions generation(String label) {
    if (genLength < 1) {
      throw new Dvl.UsageException("--gen-length is " + genLength + ", allowed is 1 or more");
    }
    if (blockSize != null && blockSize < 1) {
      throw new Dvl.UsageException("--block-size is " + blockSize + ", allowed is 1 or more");
    }
    if (speculate > 0 && temperature > 0) {
      System.err.println("dvl: --speculate has no effect with a temperature above 0: a draft cannot foresee what is drawn");
    }
    try {
      Sampling sampling = new Sampling(temperature, topK, topP, seed, uniforms == null ? null : UniformsFile.read(uniforms));
      return new GenerationOptions(genLength, decoding(label), sampling, compat, new Execution(!noGraph, !noFusedStore, speculate));
    } catch (IllegalArgumentException e) {
      throw new Dvl.UsageException("--" + e.getMessage());
    }
  }

  PromptForm form() {
    return ModelChoice.choice("prompt-form", promptForm, "official", PromptForm.OFFICIAL, "qwen-vl", PromptForm.QWEN_VL);
  }

  /** Which model runs, and on what. */
  ModelChoice model() {
    return model;
  }
}
