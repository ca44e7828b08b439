// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.quantize;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.Checkpoint;
import dev.diffusionvl.loader.EncodedMatrix;
import dev.diffusionvl.loader.Inspection;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.NamingScheme;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.loader.TestCheckpoints;
import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.LoadListener;
import dev.diffusionvl.model.SigLipCheckpoint;
import dev.diffusionvl.quantize.QuantizeOptions.Format;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.train.ConversationData;
import dev.diffusionvl.train.ForwardPass;
import dev.diffusionvl.train.LayerInputs;
import dev.diffusionvl.train.LayerInputs.Place;
import dev.diffusionvl.train.RowEncoder;
import dev.diffusionvl.train.TrainingRow;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Smaller weights of the demo model, some inputs of which were made larger than the others: so they are in models of real sizes. */
class QuantizerTest {
  private static final Path DEMO = Path.of("samples/models/diffusionvl-tiny");
  private static final Path SHAPES = Path.of("samples/data/shapes");
  private static final QuantizeOptions INT4 = new QuantizeOptions(Format.INT4, 32, false, false);
  private static final QuantizeOptions FP8 = new QuantizeOptions(Format.FP8, 32, false, false);
  private static final int LARGE = 16; // every so many inputs one is large
  private static final float TIMES = 32;

  @TempDir
  private static Path shared;

  @TempDir
  private Path temp;

  private static Device device;
  private static Path model;
  private static List<TrainingRow> records;
  private static LayerSamples samples;
  private static StepPredictions predictions;

  @BeforeAll
  static void watch() {
    device = Device.open(DeviceSpec.EMULATED);
    model = shared.resolve("uneven");
    TestCheckpoints.writeModel(model, DEMO, uneven(TestCheckpoints.read(DEMO)), NamingScheme.DIFFUSION_VL, 1);
    try (ModelFiles files = ModelFiles.open(model); DiffusionVl loaded = DiffusionVl.load(device, files, DType.F32, LoadListener.NONE);
        ForwardPass pass = new ForwardPass(loaded)) {
      records = records(files, 4);
      samples = Calibration.collect(files.config(), pass, records, false, 1, Progress.NONE);
      predictions = StepPredictions.of(files.config(), pass, records.subList(0, 1), 1, Progress.NONE);
    }
  }

  @AfterAll
  static void close() {
    device.close();
  }

  private static List<TrainingRow> records(ModelFiles files, int count) {
    RowEncoder.Options rows = RowEncoder.Options.of(files.config(), SHAPES.resolve("images"));
    try (ConversationData data = ConversationData.open(SHAPES.resolve("train.json"),
        new RowEncoder(files.config(), files.tokenizer(), rows))) {
      return Calibration.records(data, count, 3, line -> {});
    }
  }

  private static StepPredictions predictions(Path folder) {
    try (ModelFiles files = ModelFiles.open(folder); DiffusionVl loaded = DiffusionVl.load(device, files, DType.F32, LoadListener.NONE);
        ForwardPass pass = new ForwardPass(loaded)) {
      return StepPredictions.of(files.config(), pass, records.subList(0, 1), 1, Progress.NONE);
    }
  }

  /** The same model in F32: what goes into its layers is unevenly large, which the layers' weights take back. */
  private static Map<String, Tensor> uneven(Map<String, Tensor> tensors) {
    Map<String, Tensor> all = new LinkedHashMap<>();
    tensors.forEach((name, tensor) -> {
      float[] values = TestCheckpoints.floats(TestCheckpoints.view(tensor));
      boolean norm = name.matches("layers\\.\\d+\\.(input|post_attention)_layernorm\\.weight");
      boolean outputs = name.matches("layers\\.\\d+\\.(self_attn\\.v_proj\\.(weight|bias)|mlp\\.up_proj\\.weight)");
      boolean inputs = name.matches("layers\\.\\d+\\..*_proj\\.weight");
      int in = tensor.shape().length == 2 ? (int) tensor.shape()[1] : 1;
      for (int i = 0; i < values.length; i++) {
        values[i] *= (norm || outputs) && i / in % LARGE == 0 ? TIMES : 1;
        values[i] /= inputs && i % in % LARGE == 0 ? TIMES : 1;
      }
      ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
      bytes.asFloatBuffer().put(values);
      all.put(name, new Tensor(TensorType.F32, tensor.shape(), bytes.array()));
    });
    return all;
  }

  /** Every kind of factor is found where inputs are uneven, and together they cancel: written without rounding, the model is the same. */
  @Test
  void factorsCancel() {
    Scaling scaling = new Scaling();
    Path folder = temp.resolve("scaled");
    try (ModelFiles files = ModelFiles.open(model); ErrorMeter meter = new ErrorMeter(device)) {
      List<Site> sites = Site.of(files.config(), false);
      new ScaleSearch(files, 32, samples, meter).search(sites, scaling, Progress.NONE);
      Set<Place> scaled = EnumSet.noneOf(Place.class);
      sites.stream().filter(site -> scaling.columns().containsKey(site.layers().getFirst())).forEach(site -> scaled.add(site.place()));
      assertEquals(EnumSet.complementOf(EnumSet.of(Place.HEAD)), scaled);
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      TestCheckpoints.read(model).forEach((name, tensor) -> tensors.put(name, scaled(files.checkpoint(), name, tensor, scaling)));
      TestCheckpoints.writeModel(folder, DEMO, tensors, NamingScheme.DIFFUSION_VL, 1);
    }
    List<StepPredictions.Agreement> steps = predictions(folder).with(predictions);
    for (StepPredictions.Agreement step : steps) {
      assertEquals(step.tokens(), step.equal(), "step " + step.step());
    }
    assertTrue(steps.getFirst().tokens() > 20, steps.toString());
  }

  private static Tensor scaled(Checkpoint checkpoint, String name, Tensor tensor, Scaling scaling) {
    float[] values = scaling.vectors().get(name);
    if (values == null && tensor.shape().length == 2 && name.startsWith("layers.")) {
      String layer = name.substring(0, name.length() - ".weight".length());
      ScaledRows rows = new ScaledRows(model, checkpoint.tensor(name), scaling.columns().get(layer), scaling.divisors().get(layer));
      values = new float[rows.out() * rows.in()];
      float[] row = new float[rows.in()];
      for (int i = 0; i < rows.out(); i++) {
        rows.read(i, row);
        System.arraycopy(row, 0, values, i * row.length, row.length);
      }
    }
    if (values == null) {
      return tensor;
    }
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    return new Tensor(TensorType.F32, tensor.shape(), bytes.array());
  }

  /** What the layers see makes the outputs of all kinds of layers better than weights rounded as they are. */
  @Test
  void scalingLosesLess() {
    try (ModelFiles files = ModelFiles.open(model); ErrorMeter meter = new ErrorMeter(device)) {
      Path folder = temp.resolve("int4");
      List<MatrixReport> reports = Quantizer.write(files, folder, INT4, device, samples, Progress.NONE).matrices();
      assertEquals(28, reports.size());
      for (Site site : Site.of(files.config(), false)) {
        String layer = site.layers().getFirst();
        MatrixReport report = reports.stream().filter(r -> r.layer().equals("model." + layer)).findFirst().orElseThrow();
        ScaledRows plain = new ScaledRows(model, files.checkpoint().tensor(layer + ".weight"), null, null);
        float[] seen = samples.values(site.layer(), site.place());
        try (var x = meter.upload(seen, plain.in())) {
          EncodedMatrix rounded = EncodedMatrix.int4(layer, plain.out(), plain.in(), 32, plain, null);
          double error = Math.sqrt(meter.productSquares(plain.out(), plain.in(), plain.loss(rounded), x)
              / meter.productSquares(plain.out(), plain.in(), plain, x));
          assertTrue(report.outputError() < 0.95 * error, layer + ": " + report.outputError() + ", as they are " + error);
          assertTrue(report.exponent() > 0 && report.outputError() > 0 && report.weightError() > 0, report.toString());
        }
      }
      assertTrue(Inspection.of(folder).complete());
      assertEquals(Map.of("int4, compressed-tensors, groups of 32, symmetric", 28), Inspection.of(folder).formats());
      List<StepPredictions.Agreement> steps = predictions(folder).with(predictions);
      int equal = steps.stream().mapToInt(StepPredictions.Agreement::equal).sum();
      int tokens = steps.stream().mapToInt(StepPredictions.Agreement::tokens).sum();
      assertEquals(8, steps.size());
      assertTrue(equal > 0.85 * tokens, steps.toString());
    }
  }

  @Test
  void theSameBytesTwice() throws IOException {
    try (ModelFiles files = ModelFiles.open(model)) {
      for (QuantizeOptions options : List.of(INT4, FP8)) {
        Path first = temp.resolve("first-" + options.format());
        Path second = temp.resolve("second-" + options.format());
        Quantizer.write(files, first, options, device, samples, Progress.NONE);
        Quantizer.write(files, second, options, device, samples, Progress.NONE);
        try (Stream<Path> written = Files.list(first)) {
          for (Path file : written.toList()) {
            assertEquals(-1, Files.mismatch(file, second.resolve(file.getFileName())), file.toString());
          }
        }
      }
    }
  }

  /** Without a model that is run, and without a device; eight bits are nearly the weights themselves. */
  @Test
  void weightsMayBeRoundedAsTheyAre() {
    try (ModelFiles files = ModelFiles.open(model)) {
      List<MatrixReport> reports = Quantizer.write(files, temp.resolve("fp8"), FP8, null, null, Progress.NONE).matrices();
      for (MatrixReport report : reports) {
        assertTrue(Double.isNaN(report.outputError()) && report.exponent() == 0, report.toString());
        assertTrue(report.weightError() > 0.01 && report.weightError() < 0.04, report.toString());
      }
      assertEquals(Map.of("fp8 (E4M3), a scale per output", 28), Inspection.of(temp.resolve("fp8")).formats());
    }
    assertTrue(predictions(temp.resolve("fp8")).with(predictions).stream().allMatch(step -> step.part() > 0.9));
  }

  /** Head and tower on demand; a matrix whose inputs no group divides stays as it is, which is said. The other family. */
  @Test
  void headAndTower() {
    Path sigLip = temp.resolve("siglip");
    SigLipCheckpoint.write(sigLip);
    try (ModelFiles files = ModelFiles.open(sigLip); DiffusionVl loaded = DiffusionVl.load(device, files, DType.F32, LoadListener.NONE)) {
      LayerSamples seen;
      List<TrainingRow> some = records(files, 1);
      try (ForwardPass pass = new ForwardPass(loaded)) {
        seen = Calibration.collect(files.config(), pass, some, true, 1, Progress.NONE);
      }
      Quantizer.Result all = Quantizer.write(files, temp.resolve("all"), new QuantizeOptions(Format.INT4, 32, true, true), device, seen,
          Progress.NONE);
      MatrixReport head = all.matrices().stream().filter(r -> r.layer().equals("lm_head")).findFirst().orElseThrow();
      assertTrue(head.outputError() > 0 && head.outputError() < 0.2, head.toString());
      assertEquals(1, all.remarks().size(), all.remarks().toString()); // 144 and 200 are no multiples of 32
      assertTrue(all.remarks().getFirst().contains("stay as they are"), all.remarks().toString());
      Inspection found = Inspection.of(temp.resolve("all"));
      assertTrue(found.complete() && found.unexpected().isEmpty(), found.toString());
      assertEquals(all.matrices().size(), found.formats().values().iterator().next());
      Quantizer.Result eight = Quantizer.write(files, temp.resolve("eight"), new QuantizeOptions(Format.FP8, 32, true, true), null, null,
          Progress.NONE);
      assertEquals(14 + 1 + 2 * 6 + 2, eight.matrices().size());
      assertTrue(Inspection.of(temp.resolve("eight")).complete());
      for (String small : List.of("all", "eight")) {
        try (ModelFiles again = ModelFiles.open(temp.resolve(small));
            DiffusionVl reloaded = DiffusionVl.load(device, again, DType.F32, LoadListener.NONE);
            ForwardPass pass = new ForwardPass(reloaded)) {
          assertTrue(StepPredictions.of(again.config(), pass, some, 1, Progress.NONE).tokens().getFirst().length > 0);
        }
      }
    }
  }

  @Test
  void whatCannotBeQuantisedIsRefused() throws IOException {
    QuantizeOptions head = new QuantizeOptions(Format.FP8, 32, true, false);
    Path small = temp.resolve("small");
    try (ModelFiles files = ModelFiles.open(model)) {
      String tied = assertThrows(BadInputException.class, () -> Quantizer.require(files, head)).getMessage();
      assertTrue(tied.startsWith(model.resolve("config.json") + ": tie_word_embeddings"), tied);
      Quantizer.write(files, small, FP8, null, null, Progress.NONE);
      assertThrows(BadInputException.class, () -> Quantizer.write(files, small, FP8, null, null, Progress.NONE));
    }
    try (ModelFiles files = ModelFiles.open(small)) {
      String twice = assertThrows(BadInputException.class, () -> Quantizer.require(files, FP8)).getMessage();
      assertTrue(twice.startsWith(small.resolve("config.json") + ": quantization_config: quantised weights are small already"), twice);
    }
    Map<String, Tensor> tensors = TestCheckpoints.read(model);
    ByteBuffer.wrap(tensors.get("layers.1.mlp.up_proj.weight").data()).order(ByteOrder.LITTLE_ENDIAN).putFloat(4 * 256, Float.NaN);
    Path broken = temp.resolve("broken");
    TestCheckpoints.writeModel(broken, DEMO, tensors, NamingScheme.DIFFUSION_VL, 1);
    try (ModelFiles files = ModelFiles.open(broken)) {
      String nan = assertThrows(BadInputException.class,
          () -> Quantizer.write(files, temp.resolve("out"), FP8, null, null, Progress.NONE)).getMessage();
      assertTrue(nan.contains("model.layers.1.mlp.up_proj.weight: element [1, 0] is NaN"), nan);
    }
    assertFalse(Files.exists(temp.resolve("out")));
  }

  /** Wherever it is stopped, nothing is left. */
  @Test
  void stoppingLeavesNothing() throws IOException {
    try (ModelFiles files = ModelFiles.open(model)) {
      for (String at : List.of("rounding", "writing")) {
        Progress stop = (what, done, total) -> what.equals(at) && done == 5;
        assertThrows(CancellationException.class, () -> Quantizer.write(files, temp.resolve("out"), FP8, null, null, stop));
        try (Stream<Path> left = Files.list(temp)) {
          assertEquals(List.of(), left.toList());
        }
      }
    }
  }

  /** Each step hides one token less of each block, and those known before stay known. */
  @Test
  void predictionsAreOfFewerTokensFromStepToStep() {
    for (int step = 1; step < 8; step++) {
      assertTrue(predictions.tokens().get(step).length < predictions.tokens().get(step - 1).length);
    }
    assertArrayEquals(predictions(model).tokens().getFirst(), predictions.tokens().getFirst());
  }

  /** The rows that are heard are those that the layers take: the recorded place and width of each, all layers. */
  @Test
  void placesAreHeard() {
    Map<Place, Integer> heard = new LinkedHashMap<>();
    try (ModelFiles files = ModelFiles.open(model); DiffusionVl loaded = DiffusionVl.load(device, files, DType.F32, LoadListener.NONE);
        ForwardPass pass = new ForwardPass(loaded)) {
      var rows = Calibration.objective(files.config()).rows(List.of(records.getFirst().example()), new long[] {4}, 1);
      LayerInputs inputs = (layer, place, x, count) -> {
        heard.merge(place, 1, Integer::sum);
        assertEquals(place == Place.DOWN ? 768 : 256, x.shape()[1]);
        assertEquals(place == Place.HEAD ? rows.targets().size() : rows.rows(), count);
      };
      assertEquals(rows.targets().size(), pass.run(records.getFirst(), rows, inputs).length);
    }
    assertEquals(Map.of(Place.QKV, 4, Place.OUTPUT, 4, Place.GATE_UP, 4, Place.DOWN, 4, Place.HEAD, 1), heard);
  }
}
