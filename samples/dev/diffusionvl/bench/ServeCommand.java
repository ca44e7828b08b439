// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.bench.Report.Column;
import dev.diffusionvl.bench.measure.Quantiles;
import dev.diffusionvl.bench.measure.Row;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Engine;
import dev.diffusionvl.model.EngineOptions;
import dev.diffusionvl.model.EngineStats;
import dev.diffusionvl.model.GemmChoice;
import dev.diffusionvl.model.GenerationListener;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.GenerationResult;
import dev.diffusionvl.model.KvChoice;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.runtime.op.WeightForm;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * {@code dvl bench serve}: an engine in this process under users who ask, wait for the answer and ask again. A time to the first block runs
 * from submission; a time per block is that between two blocks of an answer.
 */
@Command(name = "serve", description = "Throughput and latency of an engine in this process, by the number of users; random weights.",
    mixinStandardHelpOptions = true, showDefaultValues = true)
final class ServeCommand implements Callable<Integer> {
  private static final List<Column> COLUMNS = List.of(new Column("shape", "shape", -6), new Column("layers", "layers", 6),
      new Column("prompt", "context", 7), new Column("gemm", "gemm", -6), new Column("users", "users", 5),
      new Column("tokens/s", "tokens_per_s", 9), new Column("at floor", "floor_tokens_per_s", 9), new Column("passes", "forwards", 7),
      new Column("first ms", "first_block_ms_p50", 9), new Column("p95", "first_block_ms_p95", 9),
      new Column("p99", "first_block_ms_p99", 9), new Column("block ms", "block_ms_p50", 9), new Column("p95", "block_ms_p95", 9),
      new Column("p99", "block_ms_p99", 9), new Column("floor", "floor_block_ms", 9));

  @Mixin private BenchOptions options;
  @Mixin private ModelOptions modelOptions;

  @Option(names = "--users", paramLabel = "N", description = "users at a time; may be repeated (default: 1, 2, 4, 8, 16 and 32)")
  private List<Integer> users = List.of(1, 2, 4, 8, 16, 32);

  @Option(names = "--requests", paramLabel = "N", defaultValue = "4", description = "requests of each user")
  private int requests;

  @Option(names = "--gen-length", paramLabel = "N", defaultValue = "128", description = "tokens to generate")
  private int genLength;

  @Option(names = "--steps", paramLabel = "N", defaultValue = "8", description = "denoising steps per block")
  private int steps;

  /** When the blocks of one answer were there, in nanoseconds. */
  private static final class Blocks implements GenerationListener {
    private final List<Long> done = new ArrayList<>();
    private int block = -1;

    @Override
    public boolean isLive() {
      return false; // steps are heard of when their block is done
    }

    @Override
    public void onStep(int ofBlock, int step, List<Commit> committed) {
      if (ofBlock != block) {
        block = ofBlock;
        done.add(System.nanoTime());
      }
    }
  }

  /** What all users saw together. */
  private static final class Seen {
    final List<Double> first = Collections.synchronizedList(new ArrayList<>());
    final List<Double> between = Collections.synchronizedList(new ArrayList<>());
  }

  @Override
  public Integer call() {
    ModelConfig config = modelOptions.config(options);
    users = users.stream().distinct().toList();
    for (int n : users) {
      if (n < 1 || n > EngineOptions.MAX_SLOTS) {
        throw options.usage("--users is " + n + ", allowed are 1 to " + EngineOptions.MAX_SLOTS);
      }
    }
    if (requests < 1) {
      throw options.usage("--requests is " + requests + ", allowed is 1 or more");
    }
    GenerationOptions generation = generationOptions();
    List<GemmChoice> gemms = modelOptions.gemm(options);
    return options.run((device, report) -> {
      try (Workbench bench = options.workbench(device, config)) {
        Ceilings ceilings = Ceilings.measure(bench, row -> report.row(row, Ceilings.COLUMNS));
        try (DiffusionVl model = modelOptions.model(device, config, options.dtype())) {
          for (GemmChoice gemm : gemms) {
            for (int context : modelOptions.contexts()) {
              Request request = BenchPrompt.of(model.tokenizer(), config.vision(), context);
              for (int n : users) {
                report.row(serve(model, request, generation, gemm, n, ceilings), COLUMNS);
              }
            }
          }
        }
      }
      return true;
    });
  }

  private GenerationOptions generationOptions() {
    try {
      return GenerationOptions.DEFAULTS.withGenLength(genLength).withSteps(steps);
    } catch (IllegalArgumentException e) {
      throw options.usage("--" + e.getMessage());
    }
  }

  private Row serve(DiffusionVl model, Request request, GenerationOptions generation, GemmChoice gemm, int n, Ceilings ceilings) {
    GenerationResult warm;
    long nanos;
    EngineStats before;
    EngineStats after;
    Seen seen = new Seen();
    try (Engine engine = model.newEngine(engineOptions(model, request, generation, gemm, n));
        ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      warm = engine.submit(request, generation, GenerationListener.NONE).await(); // loads kernels, fills allocators
      before = engine.stats();
      long start = System.nanoTime();
      Runnable user = () -> ask(engine, request, generation, seen);
      Stream.generate(() -> CompletableFuture.runAsync(user, threads)).limit(n).toList().forEach(CompletableFuture::join);
      nanos = System.nanoTime() - start;
      after = engine.stats();
    }
    ModelConfig config = model.config();
    int block = config.blockSize();
    int forwardsOfBlock = Math.min(steps, block);
    int context = n * (warm.promptTokens() + genLength / 2);
    ForwardCost cost = ForwardCost.of(config.text(), options.dtype(), WeightForm.DENSE, KvChoice.AUTO, context, n * block);
    double floorBlock = forwardsOfBlock * cost.bytes() / ceilings.readBytesPerSecond() * 1e3;
    Row row = new Row("serve").put("engine", "dvl").put("shape", modelOptions.shape()).put("layers", config.text().layers())
        .put("dtype", options.dtype().suffix()).put("context", warm.promptTokens()).put("image_tokens", warm.imageTokens())
        .put("gemm", gemm.name().toLowerCase(Locale.ROOT)).put("steps", steps).put("gen_length", genLength)
        .put("users", n).put("requests", n * requests)
        .put("tokens", after.generatedTokens() - before.generatedTokens()).put("forwards", after.forwards() - before.forwards())
        .put("seconds", nanos / 1e9).put("tokens_per_s", (after.generatedTokens() - before.generatedTokens()) / (nanos / 1e9))
        .put("requests_per_s", n * requests / (nanos / 1e9)).put("floor_block_ms", floorBlock)
        .put("floor_tokens_per_s", 1e3 * n * block / floorBlock);
    percentiles(row, "first_block_ms", seen.first);
    percentiles(row, "block_ms", seen.between);
    return row;
  }

  private static EngineOptions engineOptions(DiffusionVl model, Request request, GenerationOptions generation, GemmChoice gemm, int n) {
    int each = request.promptTokens(model.config(), model.tokenizer()) + generation.genLength() + model.config().blockSize();
    return EngineOptions.DEFAULTS.withSlots(n).withQueue(n).withKvTokens(n * each).withGemm(gemm).withPrefixCacheBytes(0);
  }

  private void ask(Engine engine, Request request, GenerationOptions generation, Seen seen) {
    for (int i = 0; i < requests; i++) {
      Blocks blocks = new Blocks();
      long submitted = System.nanoTime();
      engine.submit(request, generation, blocks).await();
      for (int b = 0; b < blocks.done.size(); b++) {
        double millis = (blocks.done.get(b) - (b == 0 ? submitted : blocks.done.get(b - 1))) / 1e6;
        (b == 0 ? seen.first : seen.between).add(millis);
      }
    }
  }

  private static void percentiles(Row row, String name, List<Double> values) {
    double[] sorted = values.stream().mapToDouble(Double::doubleValue).sorted().toArray();
    for (int percent : new int[] {50, 95, 99}) {
      row.put(name + "_p" + percent, sorted.length == 0 ? 0 : Quantiles.at(sorted, percent / 100.0));
    }
  }
}
