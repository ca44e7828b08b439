// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import com.fasterxml.jackson.databind.JsonNode;
import dev.diffusionvl.bench.Report.Column;
import dev.diffusionvl.bench.measure.Row;
import dev.diffusionvl.bench.predict.Change;
import dev.diffusionvl.bench.predict.Gpu;
import dev.diffusionvl.bench.predict.KernelTime;
import dev.diffusionvl.bench.predict.TimeModel;
import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.model.KvChoice;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.WeightForm;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code dvl bench predict}: what a pass would take on a GPU by the time model, with measured rows beside it where there are some. */
@Command(name = "predict", description = "Says what a denoising forward would take on a GPU, by a model of it. Measures nothing.",
    mixinStandardHelpOptions = true, showDefaultValues = true)
final class PredictCommand implements Callable<Integer> {
  private static final List<Column> COLUMNS = List.of(new Column("kernel", "kernel", -20), new Column("times", "count", 5),
      new Column("MB", "mb", 8), new Column("stream", "stream_us", 8), new Column("latency", "latency_us", 7),
      new Column("tail", "tail_us", 6), new Column("gap", "gap_us", 6), new Column("us", "us", 8), new Column("ms a pass", "ms", 9),
      new Column("% floor", "pct_floor", 7), new Column("measured", "measured_us", 9));

  @Spec private CommandSpec spec;

  @Option(names = "--shape", paramLabel = "SHAPE", required = true, description = "3b, 7b or tiny")
  private String shape;

  @Option(names = "--device", paramLabel = "GPU", required = true, description = "h100, h200, a100 or rtx4090")
  private String device;

  @Option(names = "--context", paramLabel = "N", description = "rows before the block")
  private int context = 1000;

  @Option(names = "--rows", paramLabel = "M", description = "rows of the forward, 1 to 64")
  private int rows = 8;

  @Option(names = "--weights", paramLabel = "FORM", description = "of the layers: bf16, fp8 or int4")
  private String weights = "bf16";

  @Option(names = "--kv", paramLabel = "FORM", description = "of the cache's keys and values: auto (bf16) or fp8")
  private String kv = "auto";

  @Option(names = "--with", paramLabel = "CHANGE", description = "persistent")
  private List<String> with = new ArrayList<>();

  @Option(names = "--without", paramLabel = "CHANGE", description = "overlap, ahead, tails, ranges, shares or ring; may be repeated")
  private List<String> without = new ArrayList<>();

  @Option(names = "--measured", paramLabel = "FILE", description = "rows that dvl bench kernels and dvl bench forward wrote on such a GPU")
  private Path measured;

  @Option(names = "--json", description = "JSON lines instead of a table")
  private boolean json;

  @Override
  public Integer call() {
    TextConfig config = config();
    Gpu gpu;
    try {
      gpu = Gpu.named(device);
    } catch (IllegalArgumentException e) {
      throw usage("--device is " + e.getMessage());
    }
    if (context < 0 || context > config.maxPositionEmbeddings() / 2) {
      throw usage("--context is " + context + ", allowed is 0 to " + config.maxPositionEmbeddings() / 2);
    }
    if (rows < 1 || rows > 64) {
      throw usage("--rows is " + rows + ", allowed is 1 to 64");
    }
    WeightForm form = form();
    KvChoice cache = cache(config);
    Set<Change> changes = TimeModel.usualChanges();
    with.forEach(name -> changes.add(change("--with", name)));
    without.forEach(name -> changes.remove(change("--without", name)));
    List<JsonNode> beside = measured == null ? List.of()
        : EarlierRows.lines(measured).stream().filter(row -> row.isObject() && row.path("gpu").asBoolean()).toList();
    TimeModel model = new TimeModel(gpu, changes);
    List<KernelTime> kernels = model.forward(config, form, cache, context, rows);
    Report report = new Report(facts(), new PrintStream(System.out, true, StandardCharsets.UTF_8),
        json ? Report.Format.JSON : Report.Format.TABLE, null, null);
    for (KernelTime kernel : kernels) {
      report.row(row(gpu, kernel.kernel()).put("count", kernel.count()).put("bytes", kernel.bytes()).put("mb", kernel.bytes() * 1e-6)
          .put("stream_us", kernel.stream()).put("latency_us", kernel.latency()).put("tail_us", kernel.tail()).put("gap_us", kernel.gap())
          .put("us", kernel.micros()).put("ms", kernel.millis()).put("measured_us", micros(beside, model, kernel)), COLUMNS);
    }
    long bytes = kernels.stream().mapToLong(k -> k.count() * k.bytes()).sum();
    double floor = bytes / gpu.copyBytesPerSecond() * 1e3;
    double ms = TimeModel.millis(kernels);
    report.row(row(gpu, "forward").put("count", 1).put("bytes", bytes).put("mb", bytes * 1e-6).put("us", 1e3 * ms).put("ms", ms)
        .put("floor_ms", floor).put("pct_floor", 100 * floor / ms).put("measured_us", 1e3 * millis(beside, model)), COLUMNS);
    for (Change change : Change.values()) {
      Set<Change> other = EnumSet.noneOf(Change.class);
      other.addAll(changes);
      boolean there = other.remove(change);
      if (!there) {
        other.add(change);
      }
      double difference = TimeModel.millis(new TimeModel(gpu, other).forward(config, form, cache, context, rows)) - ms;
      report.row(row(gpu, (there ? "without " : "with ") + change.spelling()).put("ms", difference), COLUMNS);
    }
    return 0;
  }

  private Row row(Gpu gpu, String kernel) {
    return new Row("predict").put("shape", shape).put("predicted_for", gpu.name()).put("context", context).put("rows", rows)
        .put("weights", weights).put("kv", kv).put("kernel", kernel);
  }

  private WeightForm form() {
    try {
      return WeightOptions.parse(weights);
    } catch (IllegalArgumentException e) {
      throw usage(e.getMessage());
    }
  }

  private KvChoice cache(TextConfig config) {
    try {
      KvChoice choice = KvChoice.parse(kv);
      choice.requireFor(config, DType.BF16);
      return choice;
    } catch (IllegalArgumentException e) {
      throw usage("--" + e.getMessage());
    }
  }

  private TextConfig config() {
    try {
      return ModelShape.parse(shape).config(0).text();
    } catch (IllegalArgumentException e) {
      throw usage("--shape: " + e.getMessage());
    }
  }

  private Change change(String option, String name) {
    for (Change change : Change.values()) {
      if (change.spelling().equals(name)) {
        return change;
      }
    }
    throw usage(option + " is '" + name + "', allowed are "
        + Arrays.stream(Change.values()).map(Change::spelling).collect(Collectors.joining(", ")));
  }

  private Facts facts() {
    return new Facts("dvl " + String.join(" ", spec.root().commandLine().getParseResult().originalArgs()));
  }

  private ParameterException usage(String message) {
    return new ParameterException(spec.commandLine(), message);
  }

  /** Whether a row was measured with a change where it is predicted with it, and without it otherwise; one that does not say counts. */
  private static boolean fits(JsonNode row, TimeModel model, Change change) {
    return row.path(change.spelling()).asBoolean(model.has(change)) == model.has(change);
  }

  /**
   * The kernel's measured time in rows of dvl bench kernels: the last of the same operation that reads about as many bytes; of attention,
   * that of this pass; of a product, by the same copies.
   */
  private double micros(List<JsonNode> measured, TimeModel model, KernelTime kernel) {
    String op = kernel.kernel().split(" ")[0];
    String seen = (rows <= 8 ? rows + "" : rows / 8 + " x 8") + " rows, ctx " + context;
    double found = Double.NaN;
    for (JsonNode row : measured) {
      double ratio = row.path("bytes").asDouble() / Math.max(1, kernel.bytes());
      if (row.path("bench").asText().equals("kernel") && row.path("op").asText().equals(op) && ratio > 0.95 && ratio < 1.1
          && (fits(row, model, Change.RING) || !op.startsWith("skinny"))
          && !row.path("shape").asText().contains(" grid ") && (!op.equals("attention") || row.path("shape").asText().equals(seen))) {
        found = row.path("us").asDouble();
      }
    }
    return found;
  }

  /** The pass's measured time in rows of dvl bench forward. */
  private double millis(List<JsonNode> rows, TimeModel model) {
    double found = Double.NaN;
    for (JsonNode row : rows) {
      if (row.path("bench").asText().equals("forward") && row.path("engine").asText().equals("dvl")
          && row.path("shape").asText().equals(shape) && row.path("weights").asText("bf16").equals(weights)
          && fits(row, model, Change.RING) && fits(row, model, Change.OVERLAP)
          && row.path("kv").asText().equals("fp8") == kv.equals("fp8")
          && row.path("context").asInt() == context && row.path("rows").asInt() == this.rows && row.path("mode").asText().equals("graph")
          && row.path("gemm").asText().toLowerCase(Locale.ROOT).equals("own")) {
        found = row.path("ms").asDouble();
      }
    }
    return found;
  }
}
