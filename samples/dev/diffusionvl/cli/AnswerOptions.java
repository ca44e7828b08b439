// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.model.Decoding;
import dev.diffusionvl.model.Execution;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.Sampling;
import dev.diffusionvl.model.constraint.Constraint;
import java.nio.file.Path;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Options of every command that answers questions: the model, how it decodes, and on what. */
final class AnswerOptions {
  @Mixin private ModelChoice model;

  @Mixin private DecodingOptions decoding;

  @Option(names = "--prompt-form", paramLabel = "FORM", description = "official or qwen-vl (default: that of the model)")
  private String promptForm;

  @Option(names = "--gen-length", paramLabel = "N", defaultValue = "128", description = "tokens to generate at most")
  private int genLength;

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

  @Option(names = "--speculate", paramLabel = "N", defaultValue = "0", description = "drafts of what is to come that a pass carries, "
      + "0 to 7: the same tokens in fewer passes; no effect with a temperature above 0")
  private int speculate;

  /** Checks what can be checked before the model is known. @throws Dvl.UsageException naming the option */
  void check() {
    decoding.check();
    generation(Decoding.Block.DEFAULTS);
    if (promptForm != null) {
      form();
    }
  }

  /** {@link #generation(ModelConfig, Constraint)} where any text may be the answer. */
  GenerationOptions generation(ModelConfig config) {
    return generation(config, null);
  }

  /** How the model answers; says what of the options has no effect on that. @param constraint null: any text */
  GenerationOptions generation(ModelConfig config, Constraint constraint) {
    if (constraint != null && compat) {
      throw new Dvl.UsageException("--compat excludes --json-schema, --regex and --choices: the reference has none of them");
    }
    if (speculate > 0 && constraint != null) {
      System.err.println("dvl: --speculate has no effect with --json-schema, --regex or --choices");
    }
    if (speculate > 0 && temperature > 0) {
      System.err.println("dvl: --speculate has no effect with a temperature above 0: a draft cannot foresee what is drawn");
    }
    Decoding how = decoding.of(config);
    if (speculate > 0 && how.repetitionPenalty() != 1) {
      System.err.println("dvl: --speculate has no effect with --repetition-penalty");
    }
    return generation(how).withConstraint(constraint);
  }

  private GenerationOptions generation(Decoding how) {
    if (genLength < 1) {
      throw new Dvl.UsageException("--gen-length is " + genLength + ", allowed is 1 or more");
    }
    return Dvl.UsageException.checked(() -> {
      Sampling sampling = new Sampling(temperature, topK, topP, seed, uniforms == null ? null : UniformsFile.read(uniforms));
      return new GenerationOptions(genLength, how, sampling, compat, new Execution(!noGraph, !noFusedStore, speculate), null);
    });
  }

  /** @throws Dvl.UsageException if there is no such form */
  PromptForm form(ModelConfig config) {
    return promptForm == null ? PromptForm.of(config) : form();
  }

  private PromptForm form() {
    return ModelChoice.choice("prompt-form", promptForm, "official", PromptForm.OFFICIAL, "qwen-vl", PromptForm.QWEN_VL);
  }

  /** Which model runs, and on what. */
  ModelChoice model() {
    return model;
  }
}
