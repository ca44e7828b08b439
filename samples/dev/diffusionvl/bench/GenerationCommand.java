// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.bench.Report.Column;
import dev.diffusionvl.bench.measure.Quantiles;
import dev.diffusionvl.bench.measure.Row;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Execution;
import dev.diffusionvl.model.GemmChoice;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.GenerationResult;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.model.Session;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.function.ToDoubleFunction;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code dvl bench generate}: whole answers at real shapes, vision and prefill apart from decoding. */
@Command(name = "generate", description = "Times whole generations of a model with random weights.", mixinStandardHelpOptions = true,
    showDefaultValues = true)
final class GenerationCommand implements Callable<Integer> {
  private static final List<Column> COLUMNS = List.of(new Column("shape", "shape", -6), new Column("layers", "layers", 6),
      new Column("prompt", "context", 7), new Column("gemm", "gemm", -6), new Column("drafts", "speculate", 6), new Column("tokens",
      "tokens", 6), new Column("forwards", "forwards", 8),
      new Column("vision ms", "vision_ms", 9), new Column("prefill ms", "prefill_ms", 10), new Column("decode ms", "decode_ms", 9),
      new Column("p10", "decode_ms_p10", 9), new Column("p90", "decode_ms_p90", 9), new Column("tokens/s", "tokens_per_s", 9));

  @Mixin private BenchOptions options;
  @Mixin private ModelOptions modelOptions;

  @Option(names = "--gen-length", paramLabel = "N", defaultValue = "128", description = "tokens to generate")
  private int genLength;

  @Option(names = "--steps", paramLabel = "N", defaultValue = "8", description = "denoising steps per block")
  private int steps;

  @Option(names = "--no-graph", description = "launch each kernel of a pass instead of replaying it as a CUDA graph")
  private boolean noGraph;

  @Option(names = "--overlap", description = "our own products start while the kernel before ends (programmatic dependent launch)")
  private boolean overlap;

  @Option(names = "--no-fused-store", description = "store the prompt and each finished block in a pass of its own")
  private boolean noFusedStore;

  @Option(names = "--speculate", paramLabel = "N", description = "drafts that a denoising pass carries; may be repeated (default: 0)")
  private List<Integer> speculate = List.of(0);

  @Override
  public Integer call() {
    ModelConfig config = modelOptions.config(options);
    GenerationOptions generation = generationOptions();
    List<GemmChoice> gemms = modelOptions.gemm(options);
    return options.run((device, report) -> {
      try (DiffusionVl model = modelOptions.model(device, config, options.dtype())) {
        for (GemmChoice gemm : gemms) {
          for (int context : modelOptions.contexts()) {
            Request request = BenchPrompt.of(model.tokenizer(), config.vision(), context);
            for (int drafts : speculate) {
              GenerationOptions with = generation.withExecution(execution(drafts));
              try (Session session = model.newSession(gemm, overlap)) {
                for (int i = 0; i < options.warmUp(1); i++) { // loads kernels, fills allocators
                  session.generate(request, with);
                }
                GenerationResult[] results = new GenerationResult[options.iterations(device.emulated() ? 1 : 5)];
                for (int i = 0; i < results.length; i++) {
                  results[i] = session.generate(request, with);
                }
                report.row(row(config, results, gemm, drafts), COLUMNS);
              }
            }
          }
        }
      }
      return true;
    });
  }

  private Execution execution(int drafts) {
    return new Execution(!noGraph, !noFusedStore, drafts);
  }

  private GenerationOptions generationOptions() {
    try {
      speculate = speculate.stream().distinct().toList();
      speculate.forEach(this::execution);
      return GenerationOptions.DEFAULTS.withGenLength(genLength).withSteps(steps);
    } catch (IllegalArgumentException e) {
      throw options.usage("--" + e.getMessage());
    }
  }

  private Row row(ModelConfig config, GenerationResult[] results, GemmChoice gemm, int drafts) {
    GenerationResult first = results[0];
    Quantiles decode = quantiles(results, r -> r.timings().decode());
    int decodeForwards = first.counts().denoise() + first.counts().store();
    return new Row("generate").put("engine", "dvl").put("shape", modelOptions.shape()).put("layers", config.text().layers())
        .put("dtype", options.dtype().suffix()).put("context", first.promptTokens()).put("image_tokens", first.imageTokens())
        .put("schedule", "static").put("steps", steps).put("gen_length", genLength)
        .put("gemm", gemm.name().toLowerCase(Locale.ROOT)).put("fused_store", !noFusedStore).put("graphs", !noGraph)
        .put("overlap", overlap).put("speculate", drafts).put("tokens", first.generatedTokens()).put("forwards", first.counts().forwards())
        .put("denoise_forwards", first.counts().denoise()).put("store_forwards", first.counts().store())
        .put("vision_ms", quantiles(results, r -> r.timings().vision()).median())
        .put("prefill_ms", quantiles(results, r -> r.timings().prefill()).median())
        .put("decode_ms", decode.median()).put("decode_ms_p10", decode.p10()).put("decode_ms_p90", decode.p90())
        .put("ms_per_forward", decode.median() / Math.max(1, decodeForwards))
        .put("tokens_per_forward", (double) first.generatedTokens() / Math.max(1, decodeForwards)).put("tokens_per_s",
        1000 * first.generatedTokens() / decode.median());
  }

  private static Quantiles quantiles(GenerationResult[] results, ToDoubleFunction<GenerationResult> millis) {
    return Quantiles.of(Arrays.stream(results).mapToDouble(millis).toArray());
  }
}
