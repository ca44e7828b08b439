// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.KernelCheck;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Quantiles;
import dev.diffusionvl.bench.measure.Workbench;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelShapes;
import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.prove.Emulator;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.OutOfDeviceMemoryException;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;
import dev.diffusionvl.runtime.op.WeightForm;
import dev.diffusionvl.train.AutoregressiveObjective;
import dev.diffusionvl.train.Example;
import dev.diffusionvl.train.PassRows;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

/** Benchmarks end to end on the emulated device: what they say of themselves, and that their checks can fail. */
class BenchTest {
  @TempDir private Path folder;

  private List<JsonNode> run(int code, String... arguments) throws IOException {
    Path out = folder.resolve("rows.jsonl");
    Files.deleteIfExists(out);
    List<String> all = new ArrayList<>(List.of(arguments));
    all.addAll(List.of("--device", "emulated", "--out", out.toString()));
    assertEquals(code, new CommandLine(new BenchCommand()).execute(all.toArray(String[]::new)));
    List<JsonNode> rows = new ArrayList<>();
    if (Files.exists(out)) {
      for (String line : Files.readAllLines(out)) {
        rows.add(new ObjectMapper().readTree(line));
      }
    }
    return rows;
  }

  @Test
  void kernelsRunEndToEndAndSayThatTheyAreNoGpuFigures() throws IOException {
    List<JsonNode> rows = run(0, "kernels", "--json", "--weights", "bf16", "--weights", "fp8", "--weights", "int4");
    Set<String> ceilings = new TreeSet<>();
    Set<String> kernels = new TreeSet<>();
    Set<String> launches = new TreeSet<>();
    for (JsonNode row : rows) {
      switch (row.get("bench").asText()) {
        case "ceiling" -> ceilings.add(row.get("op").asText());
        case "kernel" -> kernels.add(row.get("op").asText());
        default -> launches.add(row.get("mode").asText());
      }
      assertEquals("emulated", row.get("device").asText());
      assertFalse(row.get("gpu").asBoolean());
      for (String fact : new String[] {"driver", "date", "commit", "command"}) {
        assertFalse(row.get(fact).asText().isBlank(), fact);
      }
      assertTrue(row.get("us").asDouble() > 0, row.toString());
      if (row.get("bench").asText().equals("kernel")) {
        assertTrue(row.get("ok").asBoolean() && row.get("bit_equal").asBoolean(), row.toString());
        assertTrue(row.get("predicted_us").asDouble() > 0 && row.has("baseline_us"), row.toString());
      }
    }
    assertEquals(Set.of("copy", "read_sum", "gemm", "upload"), ceilings);
    assertEquals(Set.of("graph node", "graph node, dependent", "launched", "launched, dependent"), launches);
    Set<String> missing = kernelFiles();
    assertTrue(missing.containsAll(kernels), "rows have the names of kernels: " + kernels);
    missing.removeAll(kernels);
    assertEquals(Set.of(), missing, "kernels without a row");
  }

  /** Files in cuda/ whose kernels are launched by name; what serves others only inside of them is left out. */
  private static Set<String> kernelFiles() throws IOException {
    Set<String> ops = new TreeSet<>();
    try (Stream<Path> files = Files.list(Path.of("cuda"))) {
      files.map(f -> f.getFileName().toString()).filter(f -> f.endsWith(".cu")).forEach(f -> ops.add(f.substring(0, f.length() - 3)));
    }
    ops.removeIf(op -> op.endsWith("_ring")); // the same rows, but with --no-ring
    ops.remove("attention_simt"); // attention in f32
    ops.remove("attention_backward_simt"); // its gradient in f32
    return ops;
  }

  /** In bulk where nothing is said, as the rows say; and the kernels that run are those of the rows. */
  @ParameterizedTest
  @CsvSource({", true", "--ring, true", "--no-ring, false"})
  void productsInBothForms(String option, boolean ring) throws IOException {
    List<String> arguments = new ArrayList<>(List.of("kernels", "--json", "--only", "skinny_swiglu", "--only", "skinny_residual"));
    arguments.addAll(option == null ? List.of() : List.of(option));
    try (Device device = Device.open(DeviceSpec.EMULATED)) {
      Emulator.takeLaunched();
    }
    List<JsonNode> rows = run(0, arguments.toArray(String[]::new)).stream().filter(row -> row.get("bench").asText().equals("kernel"))
        .toList();
    List<String> launched = Emulator.takeLaunched();
    assertTrue(rows.size() > 1, rows.toString());
    for (JsonNode row : rows) {
      assertTrue(row.get("ok").asBoolean() && row.get("bit_equal").asBoolean(), row.toString());
      assertEquals(ring, row.get("ring").asBoolean(), row.toString());
    }
    assertEquals(ring, launched.contains("skinny_swiglu_ring.cu skinny_swiglu_m8_bf16_ring"), launched.toString());
    assertEquals(!ring, launched.contains("skinny_swiglu.cu skinny_swiglu_m8_bf16"), launched.toString());
    assertTrue(SkinnyWorkspace.bulkByDefault(), "the switch is the run's own");
  }

  /** All kernels of inference; those of training have no instance in f16. */
  @Test
  void kernelsInF16() throws IOException {
    List<JsonNode> rows = run(0, "kernels", "--json", "--dtype", "f16", "--weights", "bf16", "--weights", "int4").stream()
        .filter(row -> row.get("bench").asText().equals("kernel")).toList();
    for (JsonNode row : rows) {
      assertTrue(row.get("ok").asBoolean() && row.get("dtype").asText().equals("f16"), row.toString());
    }
    Set<String> kernels = rows.stream().map(row -> row.get("op").asText()).collect(Collectors.toCollection(TreeSet::new));
    Set<String> missing = kernelFiles();
    missing.removeAll(kernels);
    assertEquals(Set.of("activation_backward", "adamw", "adamw_8bit", "attention_backward", "column_sum", "cross_entropy", "gradient_norm",
        "layer_norm_backward", "rms_norm_backward", "rope_backward", "scatter_add_rows", "swiglu_backward"), missing);
  }

  private static final String MODEL = "samples/models/diffusionvl-tiny";

  @Test
  void forwardsByGraphAndLaunched() throws IOException {
    List<JsonNode> rows = run(0, "forward", "--shape", "tiny", "--layers", "1", "--context", "24", "--rows", "8", "--rows", "16",
        "--rows", "8", "--tokenizer", MODEL).stream().filter(r -> r.get("bench").asText().equals("forward")).toList();
    assertEquals(List.of("8 graph", "8 launched", "16 graph", "16 launched"),
        rows.stream().map(r -> r.get("rows").asText() + " " + r.get("mode").asText()).toList());
    for (JsonNode row : rows) {
      assertTrue(row.get("ok").asBoolean() && row.get("ms").asDouble() > 0 && row.get("floor_ms").asDouble() > 0, row.toString());
      assertEquals("tiny", row.get("shape").asText());
      assertEquals(24, row.get("context").asInt());
      assertFalse(row.get("gpu").asBoolean());
    }
  }

  /** Weights of fewer bits have a lower floor; the same words as dvl bench kernels. */
  @Test
  void forwardsWithSmallerWeights() throws IOException {
    List<JsonNode> rows = run(0, "forward", "--shape", "tiny", "--layers", "2", "--context", "24", "--rows", "8", "--gemm", "own",
        "--gemm", "cublas", "--weights", "bf16", "--weights", "fp8", "--weights", "int4", "--tokenizer", MODEL)
        .stream().filter(r -> r.path("mode").asText().equals("graph") && r.get("bench").asText().equals("forward")).toList();
    assertEquals(List.of("bf16 own", "bf16 cublas", "fp8 own", "fp8 cublas", "int4 own", "int4 cublas"),
        rows.stream().map(r -> r.get("weights").asText() + " " + r.get("gemm").asText()).toList());
    for (JsonNode row : rows) {
      assertTrue(row.get("ok").asBoolean() && row.get("predicted_ms").asDouble() > 0, row.toString());
    }
    assertTrue(rows.get(0).get("bytes").asLong() > rows.get(2).get("bytes").asLong());
    assertTrue(rows.get(2).get("bytes").asLong() > rows.get(4).get("bytes").asLong());
    run(2, "forward", "--shape", "tiny", "--weights", "int3", "--tokenizer", MODEL);
    run(2, "kernels", "--weights", "fp8", "--dtype", "f32");
  }

  @Test
  void generationsKeepVisionAndPrefillApart() throws IOException {
    JsonNode row = run(0, "generate", "--shape", "tiny", "--layers", "1", "--context", "70", "--gen-length", "16", "--steps", "2",
        "--speculate", "1", "--gemm", "cublas", "--tokenizer", MODEL).getFirst();
    assertEquals("cublas 1", row.get("gemm").asText() + " " + row.get("speculate").asText());
    assertEquals(70, row.get("context").asInt());
    assertTrue(row.get("image_tokens").asInt() > 0);
    assertEquals(16, row.get("tokens").asInt(), "random weights find no end");
    for (String time : new String[] {"vision_ms", "prefill_ms", "decode_ms", "tokens_per_s"}) {
      assertTrue(row.get(time).asDouble() > 0, row.toString());
    }
  }

  @Test
  void trainingStepsStandBesideTheirFloor() throws IOException {
    for (boolean recompute : new boolean[] {false, true}) {
      List<String> arguments = new ArrayList<>(List.of("train", "--shape", "tiny", "--layers", "2", "--rows", "32", "--tokenizer", MODEL));
      if (recompute) {
        arguments.add("--recompute");
      }
      JsonNode row = run(0, arguments.toArray(String[]::new)).getLast();
      assertEquals("train tiny 32", row.get("bench").asText() + " " + row.get("shape").asText() + " " + row.get("rows").asText());
      assertTrue(row.get("ok").asBoolean() && row.get("pass_rows").asInt() > 24 && row.get("targets").asInt() > 0, row.toString());
      for (String figure : new String[] {"ms", "tokens_per_s", "floor_ms", "pct_floor", "mfu_pct", "predicted_ms"}) {
        assertTrue(row.get(figure).asDouble() > 0, row.toString());
      }
      assertEquals(recompute, row.get("recompute").asBoolean());
    }
  }

  /** Twice the parameters times rows forward, twice that backward: the usual rule, which holds where attention and head are small. */
  @Test
  void operationsOfAStepFollowTheRule() {
    TextConfig config = new TextConfig(512, 8, 4, 4, 128, 2048, 64, 1024, 1e-6, 1e6, true);
    Example example = new Example(new int[64], new int[64]);
    PassRows pass = new AutoregressiveObjective().rows(List.of(example), new long[1], 1);
    double parameters = 8 * (4 * 512 * 512 + 3 * 512 * 2048);
    TrainingCost cost = TrainingCost.of(config, pass, DType.BF16, false);
    assertEquals(1, cost.modelFlops() / (6 * parameters * 64), 0.05);
    assertEquals(cost.modelFlops(), cost.flops());
    assertEquals(4.0 / 3, (double) TrainingCost.of(config, pass, DType.BF16, true).flops() / cost.flops(), 0.02);
  }

  @Test
  void aShapeThatDoesNotFitIsRefusedBeforeItIsMade() throws IOException {
    assertEquals(1, new CommandLine(new BenchCommand()).setExecutionExceptionHandler((error, line, result) -> {
      assertTrue(error instanceof OutOfDeviceMemoryException && error.getMessage().contains("bytes are free"), error.toString());
      return 1;
    }).execute("train", "--shape", "7b", "--device", "emulated", "--tokenizer", MODEL));
  }

  @Test
  void servingByTheNumberOfUsers() throws IOException {
    List<JsonNode> rows = run(0, "serve", "--shape", "tiny", "--layers", "1", "--context", "64", "--gen-length", "16", "--steps", "2",
        "--users", "1", "--users", "3", "--requests", "2", "--tokenizer", MODEL).stream()
        .filter(r -> r.get("bench").asText().equals("serve")).toList();
    assertEquals(List.of(1, 3), rows.stream().map(r -> r.get("users").asInt()).toList());
    for (JsonNode row : rows) {
      int users = row.get("users").asInt();
      assertEquals(users * 2 * 16, row.get("tokens").asInt(), row.toString());
      assertTrue(row.get("forwards").asInt() >= 2 * 2 * 2, "two requests one after the other, two blocks each, two steps: " + row);
      assertTrue(row.get("first_block_ms_p50").asDouble() > 0 && row.get("first_block_ms_p99").asDouble()
          >= row.get("first_block_ms_p95").asDouble() && row.get("block_ms_p50").asDouble() > 0, row.toString());
      assertTrue(row.get("tokens_per_s").asDouble() > 0 && row.get("floor_block_ms").asDouble() > 0, row.toString());
    }
    assertTrue(rows.get(1).get("floor_tokens_per_s").asDouble() > rows.get(0).get("floor_tokens_per_s").asDouble());
  }

  @Test
  void loadingIsMeasuredAgainstTheCopyCeiling() throws IOException {
    for (String stored : new String[] {"bf16", "f32"}) {
      JsonNode row = run(0, "load", "--shape", "tiny", "--layers", "1", "--repeat", "1", "--stored", stored, "--folder", folder.toString(),
          "--tokenizer", MODEL).getLast();
      assertEquals("load", row.get("bench").asText());
      assertTrue(row.get("gbps").asDouble() > 0 && row.get("pct_upload").asDouble() > 0, row.toString());
      long parameters = ModelShapes.of(ModelShape.TINY.config(1)).values().stream()
          .mapToLong(shape -> Arrays.stream(shape).reduce(1, (a, b) -> a * b)).sum();
      assertEquals(parameters * (stored.equals("f32") ? 4 : 2) / 1e9, row.get("gb").asDouble(), 1e-5);
    }
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(List.of("rows.jsonl"), left.map(f -> f.getFileName().toString()).toList());
    }
  }

  @Test
  void aKernelThatComputesSomethingElseIsNotOk() {
    try (Device device = Device.open(DeviceSpec.EMULATED);
        Workbench bench = new Workbench(device, ModelShape.TINY.config(1), DType.F32)) {
      KernelCheck good = check(bench, 1, false);
      assertTrue(good.ok() && good.bitEqual() && good.relativeError() < 1e-6, good.toString());
      KernelCheck wrong = check(bench, 2, false);
      assertFalse(wrong.ok());
      assertTrue(wrong.relativeError() > 0.1 && wrong.bitEqual(), wrong.toString());
      KernelCheck idle = check(bench, 1, true);
      assertFalse(idle.ok(), "nothing was written: the poison shows");
      assertTrue(Double.isNaN(idle.relativeError()), idle.toString());
    }
  }

  /** A copy whose reference is off by a factor, or that does not run at all. */
  private static KernelCheck check(Workbench bench, double factor, boolean idle) {
    KernelBenchmark benchmark = new KernelBenchmark(bench, "copy", "100") {
      private final Operand in = input("in", 100);
      private final Operand out = output("out", DType.F32, 1, 100);

      @Override
      public void launch(int copy) {
        if (!idle) {
          bench.stream().copy(in.at(copy), out.at(copy));
        }
      }

      @Override
      protected double[] expected(int row) {
        float[] values = read(in);
        double[] expected = new double[values.length];
        Arrays.setAll(expected, i -> i == 3 ? NOT_CHECKED : factor * values[i]);
        return expected;
      }
    };
    try (benchmark) {
      benchmark.prepare();
      return KernelCheck.of(benchmark);
    }
  }

  @Test
  void everyRowHasAPrediction() {
    try (Device device = Device.open(DeviceSpec.EMULATED);
        Workbench bench = new Workbench(device, ModelShape.TINY.config(0), DType.BF16)) {
      for (Supplier<KernelBenchmark> next : KernelBenchmarks.all(bench, List.of(WeightForm.values()))) {
        try (KernelBenchmark benchmark = next.get()) {
          assertFalse(ExpectedTime.of(benchmark.op()).source().isBlank());
        }
      }
    }
    assertThrows(IllegalArgumentException.class, () -> ExpectedTime.of("nothing"));
  }

  @Test
  void quantilesInterpolate() {
    assertEquals(new Quantiles(3, 1.4, 4.6), Quantiles.of(5, 1, 4, 2, 3));
    assertEquals(new Quantiles(7, 7, 7), Quantiles.of(7));
  }

  /** Decoder layers, final norm and output matrix of the published models, two bytes per parameter. */
  @Test
  void shapesAreThoseOfThePublishedModels() {
    assertEquals(6_171_877_376L, decoderBytes(ModelShape.QWEN_3B));
    assertEquals(14_141_238_272L, decoderBytes(ModelShape.QWEN_7B));
    assertEquals(1, ModelShape.QWEN_7B.config(1).text().layers());
  }

  /** Bytes in bf16 that a denoising forward reads: layers, final norm and output matrix. */
  private static long decoderBytes(ModelShape shape) {
    ModelConfig config = shape.config(0);
    boolean tied = config.text().tieWordEmbeddings();
    return ModelShapes.of(config).entrySet().stream()
        .filter(e -> e.getKey().startsWith("layers.") || e.getKey().equals("norm.weight")
            || e.getKey().equals(tied ? "embed_tokens.weight" : "lm_head.weight"))
        .mapToLong(e -> 2 * Arrays.stream(e.getValue()).reduce(1, (a, b) -> a * b)).sum();
  }

  @Test
  void usageErrorsAreExitCode2() throws IOException {
    assertEquals(List.of(), run(2, "kernels", "--shape", "70b"));
    assertEquals(List.of(), run(2, "kernels", "--dtype", "f8"));
    assertEquals(List.of(), run(2, "train", "--dtype", "f16"));
    assertEquals(List.of(), run(2, "forward", "--shape", "tiny", "--rows", "12", "--tokenizer", MODEL));
    assertEquals(List.of(), run(2, "forward"));
    assertEquals(List.of(), run(2, "forward", "--shape", "tiny", "--gemm", "mkl", "--tokenizer", MODEL));
    assertEquals(List.of(), run(2, "forward", "--shape", "tiny", "--kv", "fp8", "--dtype", "f32", "--tokenizer", MODEL));
    assertEquals(List.of(), run(2, "generate", "--shape", "tiny", "--speculate", "8", "--tokenizer", MODEL));
    assertEquals(List.of(), run(2, "serve", "--shape", "tiny", "--users", "65", "--tokenizer", MODEL));
    assertEquals(List.of(), run(2, "serve", "--shape", "tiny", "--requests", "0", "--tokenizer", MODEL));
    assertEquals(List.of(), run(2, "generate", "--shape", "tiny", "--steps", "0", "--tokenizer", MODEL));
  }
}
