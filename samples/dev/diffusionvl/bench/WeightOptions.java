// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.WeightForm;
import java.util.List;
import picocli.CommandLine.Option;

/** In which form the weights of the language model's products are measured. */
final class WeightOptions {
  @Option(names = "--weights", paramLabel = "FORM",
      description = "weights of products: bf16 (numbers of --dtype), fp8 or int4; may be repeated, one after the other (default: bf16)")
  private List<String> weights = List.of("bf16");

  /** Each once, in the order given. */
  List<WeightForm> forms(BenchOptions options) {
    return weights.stream().distinct().map(word -> {
      WeightForm form;
      try {
        form = parse(word);
      } catch (IllegalArgumentException e) {
        throw options.usage(e.getMessage());
      }
      if (form != WeightForm.DENSE && options.dtype() == DType.F32) {
        throw options.usage("--weights " + word + " goes with --dtype bf16 and f16 only");
      }
      return form;
    }).toList();
  }

  /** From the word of the command line. */
  static WeightForm parse(String word) {
    return switch (word) {
      case "bf16" -> WeightForm.DENSE;
      case "fp8" -> WeightForm.FP8;
      case "int4" -> WeightForm.INT4;
      default -> throw new IllegalArgumentException("--weights is '" + word + "', allowed are bf16, fp8 and int4");
    };
  }

  /** As the command line spells it. */
  static String word(WeightForm form, DType dtype) {
    return switch (form) {
      case DENSE -> dtype.suffix();
      case FP8 -> "fp8";
      case INT4 -> "int4";
    };
  }
}
