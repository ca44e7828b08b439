// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import com.codahale.metrics.Gauge;
import com.codahale.metrics.Meter;
import com.codahale.metrics.MetricRegistry;
import dev.diffusionvl.model.EngineStats;
import dev.diffusionvl.spark.AnswerSettings.EngineSettings;
import java.nio.file.Path;
import java.util.function.Supplier;
import org.apache.spark.metrics.source.Source;

/** The figures of an engine for the sinks of Spark's metrics system: rates of rows, errors and tokens, and how full the engine is. */
final class EngineSource implements Source {
  private final String name;
  private final MetricRegistry registry = new MetricRegistry();
  private final Meter rows = registry.meter("rows");
  private final Meter errors = registry.meter("errors");
  private final Meter tokens = registry.meter("tokens");

  EngineSource(EngineSettings settings, Supplier<EngineStats> stats) {
    name = "diffusionvl." + (Path.of(settings.model()).getFileName() + "." + settings.device()).replaceAll("[^A-Za-z0-9.]", "-");
    registry.register("occupancy", (Gauge<Double>) () -> (double) stats.get().running() / stats.get().slots());
    registry.register("waiting", (Gauge<Integer>) () -> stats.get().waiting());
    registry.register("forwards", (Gauge<Long>) () -> stats.get().forwards());
    registry.register("kvTokensUsed", (Gauge<Integer>) () -> stats.get().kvTokensUsed());
  }

  void count(RowAnswer answer) {
    rows.mark();
    errors.mark(answer.error() == null ? 0 : 1);
    tokens.mark(answer.tokens() == null ? 0 : answer.tokens());
  }

  @Override
  public String sourceName() {
    return name;
  }

  @Override
  public MetricRegistry metricRegistry() {
    return registry;
  }
}
