// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.bench.Report.Column;
import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.KernelCheck;
import dev.diffusionvl.bench.measure.Quantiles;
import dev.diffusionvl.bench.measure.Row;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.Graph;
import dev.diffusionvl.runtime.op.WeightForm;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.IntConsumer;
import java.util.function.Supplier;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code dvl bench kernels}: ceilings, then every kernel beside its baseline and its prediction. */
@Command(name = "kernels", description = "Times every kernel against the measured ceilings.", mixinStandardHelpOptions = true,
    showDefaultValues = true)
final class KernelsCommand implements Callable<Integer> {
  private static final List<Column> KERNEL = List.of(new Column("kernel", "op", -18), new Column("shape", "shape", -20),
      new Column("copies", "copies", 6), new Column("us", "us", 8), new Column("p10", "us_p10", 8), new Column("p90", "us_p90", 8),
      new Column("GB/s", "gbps", 8), new Column("% read", "pct_read", 6), new Column("TFLOP/s", "tflops", 8),
      new Column("% gemm", "pct_gemm", 6), new Column("beside", "baseline", -8), new Column("us", "baseline_us", 8),
      new Column("launched", "stream_us", 8), new Column("predicted", "predicted_us", 9), new Column("rel. L2", "rel_l2", 9),
      new Column("bits", "bit_equal", -5), new Column("ok", "ok", -5));

  /** Long kernels are replayed less often, so that all rows take about a minute. */
  private static final double MICROS_A_ROW = 1.5e6;

  @Mixin private BenchOptions options;
  @Mixin private WeightOptions weights;

  @Option(names = "--only", paramLabel = "OP", description = "kernels to time; may be repeated (default: all)")
  private List<String> only = new ArrayList<>();

  @Option(names = "--shape", paramLabel = "SHAPE", description = "3b, 7b or tiny (default: 7b; tiny on the emulated device)")
  private String shape;

  @Override
  public Integer call() {
    for (String op : only) {
      if (!ExpectedTime.ops().contains(op)) {
        throw options.usage("--only: there is no kernel '" + op + "'; there are " + String.join(", ", ExpectedTime.ops()));
      }
    }
    List<WeightForm> forms = weights.forms(options);
    return options.run((device, report) -> {
      ModelShape sizes = options.shape(shape == null ? device.emulated() ? "tiny" : "7b" : shape);
      boolean ok = true;
      try (Workbench bench = options.workbench(device, sizes.config(0))) {
        Ceilings ceilings = Ceilings.measure(bench, row -> report.row(row, Ceilings.COLUMNS));
        LaunchCost.measure(bench, row -> report.row(row, LaunchCost.COLUMNS));
        for (Supplier<KernelBenchmark> next : KernelBenchmarks.all(bench, forms)) {
          try (KernelBenchmark benchmark = next.get()) {
            if (only.isEmpty() || only.contains(benchmark.op())) {
              Row row = measure(bench, benchmark, ceilings);
              ok &= row.json().get("ok").asBoolean();
              report.row(row, KERNEL);
            }
          }
        }
      }
      return ok;
    });
  }

  private Row measure(Workbench bench, KernelBenchmark benchmark, Ceilings ceilings) {
    ExpectedTime prediction = ExpectedTime.of(benchmark.op()); // first: it must have been written before
    benchmark.prepare();
    KernelCheck check = KernelCheck.of(benchmark);
    benchmark.launchBaseline(0); // what it loads or chooses at its first use is not for a capture
    bench.stream().synchronize();
    int launches = bench.launches();
    Runnable launched = () -> repeat(launches, benchmark.copies(), benchmark::launch);
    try (Graph own = Graph.capture(bench.stream(), launched);
        Graph baseline = Graph.capture(bench.stream(), () -> repeat(launches, benchmark.copies(), benchmark::launchBaseline))) {
      // The kernel twice: the difference between the two is the noise of the measurement.
      double estimate = bench.timer().interleaved(1, 3, () -> own.launch(bench.stream()))[0].median();
      int replays = Math.clamp((long) (MICROS_A_ROW / (3 * estimate)), Math.min(20, bench.replays()), bench.replays());
      Quantiles[] times = bench.timer().interleaved(Math.min(bench.warmups(), replays), replays, () -> own.launch(bench.stream()),
          () -> baseline.launch(bench.stream()), () -> own.launch(bench.stream()));
      Quantiles single = bench.timer().interleaved(1, replays / 4 + 1, launched)[0].times(1.0 / launches);
      Quantiles micros = times[0].times(1.0 / launches);
      Quantiles again = times[2].times(1.0 / launches);
      Quantiles beside = times[1].times(1.0 / launches);
      double rate = benchmark.bytes() / micros.median() * 1e6;
      double flops = benchmark.flops() / micros.median() * 1e6;
      return new Row("kernel").put("op", benchmark.op()).put("shape", benchmark.shape()).put("dtype", bench.dtype().suffix())
          .put("bytes", benchmark.bytes()).put("flop", benchmark.flops()).put("copies", benchmark.copies()).put("cold", benchmark.cold())
          .times("", micros).put("noise_pct", 100 * Math.abs(again.median() - micros.median()) / micros.median())
          .put("gbps", rate * 1e-9).put("tflops", flops * 1e-12)
          .put("pct_read", 100 * rate / ceilings.readBytesPerSecond()).put("pct_copy", 100 * rate / ceilings.copyBytesPerSecond())
          .put("pct_gemm", 100 * flops / ceilings.flopsPerSecond())
          .put("baseline", benchmark.baselineName()).times("baseline_", beside).put("ratio", beside.median() / micros.median())
          .put("stream_us", single.median())
          .put("predicted_us", prediction.micros(benchmark.bytes(), benchmark.flops(), ceilings)).put("prediction", prediction.formula())
          .put("rel_l2", check.relativeError()).put("bit_equal", check.bitEqual()).put("ok", check.ok());
    }
  }

  private static void repeat(int launches, int copies, IntConsumer launch) {
    for (int i = 0; i < launches; i++) {
      launch.accept(i % copies);
    }
  }
}
