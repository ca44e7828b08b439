// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.bench.Report.Column;
import dev.diffusionvl.bench.measure.Quantiles;
import dev.diffusionvl.bench.measure.Row;
import dev.diffusionvl.bench.measure.Timer;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.bench.predict.Gpu;
import dev.diffusionvl.bench.predict.TimeModel;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.ForwardProbe;
import dev.diffusionvl.model.GemmChoice;
import dev.diffusionvl.model.KvChoice;
import dev.diffusionvl.model.Session;
import dev.diffusionvl.runtime.Graph;
import dev.diffusionvl.runtime.op.WeightForm;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code dvl bench forward}: one denoising forward at real shapes, by graph and launch by launch. */
@Command(name = "forward", description = "Times denoising forwards of a model with random weights.", mixinStandardHelpOptions = true,
    showDefaultValues = true)
final class ForwardCommand implements Callable<Integer> {
  private static final List<Column> COLUMNS = List.of(new Column("shape", "shape", -6), new Column("layers", "layers", 6),
      new Column("context", "context", 7), new Column("rows", "rows", 4), new Column("gemm", "gemm", -6),
      new Column("weights", "weights", -7), new Column("mode", "mode", -8),
      new Column("ms", "ms", 8),
      new Column("p10", "ms_p10", 8), new Column("p90", "ms_p90", 8), new Column("floor", "floor_ms", 8),
      new Column("% floor", "pct_floor", 7), new Column("GB/s", "gbps", 8), new Column("predicted", "predicted_ms", 9));

  @Mixin private BenchOptions options;
  @Mixin private ModelOptions modelOptions;
  @Mixin private WeightOptions weights;

  @Option(names = "--rows", paramLabel = "M", description = "rows of a forward; may be repeated (default: 8, 16, 32 and 64)")
  private List<Integer> rows = List.of(8, 16, 32, 64);

  @Option(names = "--kv", paramLabel = "FORM", defaultValue = "auto", description = "the cache's keys and values: auto (numbers) or fp8")
  private String kv;

  @Option(names = "--overlap", description = "our own products start while the kernel before ends (programmatic dependent launch)")
  private boolean overlap;

  @Override
  public Integer call() {
    ModelConfig config = modelOptions.config(options);
    rows = rows.stream().distinct().toList();
    for (int m : rows) {
      if (m < config.blockSize() || m % config.blockSize() != 0 || m > 64 * config.blockSize()) {
        throw options.usage("--rows is " + m + ", allowed are 1 to 64 blocks of " + config.blockSize());
      }
    }
    KvChoice cache = cache(config);
    List<GemmChoice> gemms = modelOptions.gemm(options);
    List<WeightForm> forms = weights.forms(options);
    return options.run((device, report) -> {
      boolean ok = true;
      try (Workbench bench = options.workbench(device, config)) {
        Ceilings ceilings = Ceilings.measure(bench, row -> report.row(row, Ceilings.COLUMNS));
        TimeModel time = TimeModel.usual(Gpu.of(device, ceilings.copyBytesPerSecond()), overlap);
        for (WeightForm form : forms) {
          try (DiffusionVl model = modelOptions.model(device, config, options.dtype(), form)) {
            for (GemmChoice gemm : gemms) {
              try (Session session = model.newSession(gemm, overlap, cache)) {
                ok &= measure(bench, config, session, form, cache, gemm, ceilings, time, report);
              }
            }
          }
        }
      }
      return ok;
    });
  }

  private KvChoice cache(ModelConfig config) {
    try {
      KvChoice choice = KvChoice.parse(kv);
      choice.requireFor(config.text(), options.dtype());
      return choice;
    } catch (IllegalArgumentException e) {
      throw options.usage("--" + e.getMessage());
    }
  }

  private boolean measure(Workbench bench, ModelConfig config, Session session, WeightForm form, KvChoice cache, GemmChoice gemm,
      Ceilings ceilings, TimeModel time, Report report) {
    boolean ok = true;
    for (int context : modelOptions.contexts()) {
      for (int m : rows) {
        try (ForwardProbe probe = session.newForwardProbe(context, m); Graph graph = captured(probe)) {
          Quantiles[] micros = new Timer(probe.stream()).interleaved(bench.pick(10, 1), bench.pick(100, 2),
              () -> graph.launch(probe.stream()), probe::run);
          boolean sane = sane(probe.confidence());
          ok &= sane;
          for (int i = 0; i < 2; i++) {
            double predicted = TimeModel.millis(time.forward(config.text(), form, cache, context, m));
            report.row(row(config, form, cache, ceilings, context, m, i == 0 ? "graph" : "launched", micros[i])
                .put("predicted_ms", predicted).put("prediction", "dvl bench predict")
                .put("gemm", gemm.name().toLowerCase(Locale.ROOT)).put("overlap", overlap).put("nodes", graph.nodes()).put("ok", sane),
                COLUMNS);
          }
        }
      }
    }
    return ok;
  }

  /** The pass as a graph, after it has run once: what is loaded or chosen at the first use is not for a capture. */
  static Graph captured(ForwardProbe probe) {
    probe.run();
    probe.stream().synchronize();
    return Graph.capture(probe.stream(), probe::run);
  }

  /** Probabilities of most likely tokens: a NaN or a constant would mean that something was not computed. */
  static boolean sane(float[] confidence) {
    boolean differ = false;
    for (float p : confidence) {
      if (!(p > 0 && p <= 1)) {
        return false;
      }
      differ |= p != confidence[0];
    }
    return differ;
  }

  private Row row(ModelConfig config, WeightForm form, KvChoice cache, Ceilings ceilings, int context, int m, String mode,
      Quantiles micros) {
    ForwardCost cost = ForwardCost.of(config.text(), options.dtype(), form, cache, context, m);
    double floor = cost.bytes() / ceilings.readBytesPerSecond() * 1e3;
    double ms = micros.median() / 1e3;
    return new Row("forward").put("engine", "dvl").put("shape", modelOptions.shape()).put("layers", config.text().layers())
        .put("dtype", options.dtype().suffix()).put("weights", WeightOptions.word(form, options.dtype()))
        .put("kv", cache == KvChoice.FP8 ? "fp8" : options.dtype().suffix())
        .put("context", context).put("rows", m).put("mode", mode).put("ms", ms)
        .put("ms_p10", micros.p10() / 1e3).put("ms_p90", micros.p90() / 1e3).put("bytes", cost.bytes())
        .put("gbps", cost.bytes() / micros.median() * 1e-3).put("floor_ms", floor).put("pct_floor", 100 * floor / ms);
  }
}
