// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Whether the attention kernels are made for a model's heads (docs/kernel-contract.md). */
final class ServedSizes {
  private static final Set<Integer> HEADS = Set.of(72, 80, 128);

  private ServedSizes() {}

  /** What no kernel serves, as {@code FIELD: PROBLEM} of config.json; empty for a model that can be run. */
  static List<String> problems(ModelConfig config) {
    List<String> problems = new ArrayList<>();
    check(problems, "head_dim", config.text().headDim());
    if (config.vision() != null) {
      check(problems, "vision_config.num_heads", config.vision().hiddenSize() / config.vision().heads());
    }
    if (config.sigLip() != null) {
      check(problems, "vision_config.num_attention_heads", config.sigLip().hiddenSize() / config.sigLip().heads());
    }
    return problems;
  }

  private static void check(List<String> problems, String field, int size) {
    if (!HEADS.contains(size)) {
      problems.add(field + ": heads of " + size + " numbers; there are attention kernels for 72, 80 and 128");
    }
  }

  /** @throws BadInputException naming what cannot be run */
  static void require(ModelConfig config, Path modelDir) {
    List<String> problems = problems(config);
    if (!problems.isEmpty()) {
      throw BadInputException.of(modelDir.resolve("config.json"), problems.getFirst());
    }
  }
}
