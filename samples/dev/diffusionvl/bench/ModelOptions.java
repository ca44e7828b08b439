// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.Tokenizer;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GemmChoice;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.op.WeightForm;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Option;

/** Options of the benchmarks that need a model: its shape, how much of it, and the contexts. */
final class ModelOptions {
  @Option(names = "--shape", paramLabel = "SHAPE", required = true, description = "3b, 7b or tiny; weights are random, made on the device")
  private String shape;

  @Option(names = "--layers", paramLabel = "N", defaultValue = "0", description = "cut the model to its first layers (0: all)")
  private int layers;

  @Option(names = "--context", paramLabel = "N",
      description = "rows before the block; may be repeated (default: 352, 1000 and 4000; tiny: 64)")
  private List<Integer> contexts = new ArrayList<>();

  @Option(names = "--gemm", paramLabel = "WHO", description = "own, cublas or auto; may be repeated, one after the other (default: auto)")
  private List<String> gemm = new ArrayList<>();

  @Option(names = "--tokenizer", paramLabel = "DIR", description = "folder of a tokenizer for prompts (default: the demo model's)")
  private Path tokenizer;

  String shape() {
    return shape;
  }

  ModelConfig config(BenchOptions options) {
    ModelConfig config = options.shape(shape).config(layers);
    if (layers < 0) {
      throw options.usage("--layers is " + layers + ", allowed is 0 or more");
    }
    for (int context : contexts) {
      if (context < 1 || context > config.text().maxPositionEmbeddings() / 2) {
        throw options.usage("--context is " + context + ", allowed is 1 to " + config.text().maxPositionEmbeddings() / 2);
      }
    }
    return config;
  }

  List<Integer> contexts() {
    return !contexts.isEmpty() ? contexts.stream().distinct().toList() : shape.equals("tiny") ? List.of(64) : List.of(352, 1000, 4000);
  }

  List<GemmChoice> gemm(BenchOptions options) {
    try {
      return (gemm.isEmpty() ? List.of("auto") : gemm).stream().distinct().map(GemmChoice::parse).toList();
    } catch (IllegalArgumentException e) {
      throw options.usage("--" + e.getMessage());
    }
  }

  DiffusionVl model(Device device, ModelConfig config, DType dtype) {
    return model(device, config, dtype, WeightForm.DENSE);
  }

  /** @param form of the layers' weights */
  DiffusionVl model(Device device, ModelConfig config, DType dtype, WeightForm form) {
    return DiffusionVl.random(device, config, Tokenizer.load(tokenizerFolder()), dtype, form, 1);
  }

  /** The folder of {@code --tokenizer}, or the demo model. */
  Path tokenizerFolder() {
    return tokenizer != null ? tokenizer : Bundled.demoModel("--tokenizer");
  }
}
