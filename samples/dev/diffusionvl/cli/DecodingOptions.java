// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.model.Decoding;
import dev.diffusionvl.model.GenerationOptions.Remasking;
import picocli.CommandLine.Option;

/** Options that say how a model decodes. */
final class DecodingOptions {
  private static final Decoding.Block DEFAULTS = Decoding.Block.DEFAULTS;

  @Option(names = "--decoding", paramLabel = "HOW", description = "block, full (prompt and answer as one block) or autoregressive "
      + "(default: what the model was trained for)")
  private String decoding;

  @Option(names = "--steps", paramLabel = "N", description = "denoising steps per block (default: 8)")
  private Integer steps;

  @Option(names = "--block-size", paramLabel = "N", description = "tokens in a block (default: the checkpoint's); with full decoding, "
      + "positions that its schedule counts")
  private Integer blockSize;

  @Option(names = "--remasking", paramLabel = "RULE",
      description = "low_confidence_static or low_confidence_dynamic (default: low_confidence_static)")
  private String remasking;

  @Option(names = "--confidence-threshold", paramLabel = "P", description = "of dynamic remasking (default: 0.85)")
  private Float confidenceThreshold;

  @Option(names = "--repetition-penalty", paramLabel = "P", description = "of autoregressive decoding: makes tokens less likely that the "
      + "prompt or the answer has already (default: none, whatever the checkpoint recommends)")
  private Float repetitionPenalty;

  /** Checks what can be checked before the model is known. @throws Dvl.UsageException naming the option */
  void check() {
    String likely = repetitionPenalty == null ? DEFAULTS.label() : "autoregressive";
    decoding(decoding == null ? likely : decoding);
  }

  /** How a model decodes; says so where nobody chose it, and what of the options has no effect on it. */
  Decoding of(ModelConfig config) {
    if (decoding == null) {
      announce(config);
    }
    Decoding chosen = decoding(decoding == null ? Decoding.of(config).label() : decoding);
    if (!chosen.hasSteps()) {
      Object[] given = {steps, blockSize, remasking, confidenceThreshold};
      String[] names = {"--steps", "--block-size", "--remasking", "--confidence-threshold"};
      for (int i = 0; i < given.length; i++) {
        if (given[i] != null) {
          System.err.println("dvl: " + names[i] + " has no effect: decoding is " + chosen.label());
        }
      }
    }
    return chosen;
  }

  /** Says that a model is decoded in another way than most. */
  static void announce(ModelConfig config) {
    if (!config.diffusion()) {
      System.err.println("dvl: no diffusion model: decoding is autoregressive");
    }
  }

  private Decoding decoding(String label) {
    if (blockSize != null && blockSize < 1) {
      throw new Dvl.UsageException("--block-size is " + blockSize + ", allowed is 1 or more");
    }
    Remasking rule = remasking == null ? DEFAULTS.remasking() : ModelChoice.choice("remasking", remasking, "low_confidence_static",
        Remasking.LOW_CONFIDENCE_STATIC, "low_confidence_dynamic", Remasking.LOW_CONFIDENCE_DYNAMIC);
    int size = blockSize == null ? 0 : blockSize;
    int count = steps == null ? DEFAULTS.steps() : steps;
    float threshold = confidenceThreshold == null ? DEFAULTS.confidenceThreshold() : confidenceThreshold;
    if (repetitionPenalty != null && (label.equals("block") || label.equals("full"))) {
      throw new Dvl.UsageException("--repetition-penalty is of no use to the decoding " + label + ", which fills positions out of order");
    }
    return Dvl.UsageException.checked(() -> switch (label) {
      case "block" -> new Decoding.Block(size, count, rule, threshold);
      case "full" -> new Decoding.Full(size, count, rule, threshold);
      case "autoregressive" -> repetitionPenalty == null ? new Decoding.Autoregressive()
          : new Decoding.Autoregressive(repetitionPenalty);
      default -> throw new Dvl.UsageException("--decoding is '" + label + "', allowed are block, full and autoregressive");
    });
  }
}
