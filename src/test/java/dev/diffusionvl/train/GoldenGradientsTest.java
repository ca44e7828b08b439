// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.NamingScheme;
import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GoldenCase;
import dev.diffusionvl.model.ImageEncoder;
import dev.diffusionvl.model.RopeTable;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Gradients of every tensor, those of the vision tower and the merger included, against golden steps of an independent implementation. */
class GoldenGradientsTest {
  private static final List<String> NAMES = TrainingCase.NAMES;

  @TempDir
  private Path folder;
  private static Device device;
  private static DiffusionVl model;
  private static Set<DeviceBuffer> textWeights;
  private static Set<DeviceBuffer> towerWeights;

  @BeforeAll
  static void load() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    model = DiffusionVl.load(device, GoldenCase.MODEL, DType.F32);
    textWeights = weights("layers.", "embed_tokens.", "norm.", "lm_head.");
    towerWeights = weights("vision.");
  }

  private static Set<DeviceBuffer> weights(String... prefixes) {
    Set<DeviceBuffer> buffers = Collections.newSetFromMap(new IdentityHashMap<>());
    model.parameters().entries().stream().filter(entry -> List.of(prefixes).stream().anyMatch(entry.name()::startsWith))
        .forEach(entry -> buffers.add(model.parameters().buffers().get(entry.buffer())));
    return buffers;
  }

  @AfterAll
  static void close() {
    model.close();
    device.close();
  }

  /** What it takes and gives: loss, gradients by name, and device memory of the vision part. */
  private record Result(double loss, Map<String, float[]> gradients, long visionBytes, long plannedBytes) {}

  /** Loss and gradients of the first step. */
  private Result step(TrainingCase golden, Predicate<DeviceBuffer> trained, boolean recompute) {
    List<PreparedImage> images = images(golden);
    int featureRows = images.stream().mapToInt(PreparedImage::rows).sum();
    TextConfig text = model.config().text();
    int hidden = text.hiddenSize();
    PassRows rows = new BlockDiffusionObjective(golden.blockSize(), model.config().maskTokenId(), 1e-3)
        .rows(golden.examples(), golden.noises(0), golden.examples().size());
    try (Stream stream = device.newStream();
        Gemm gemm = new Gemm(stream);
        Twin gradients = new Twin(TrainingMemory.on(device), "gradients", model.parameters().buffers().stream().filter(trained).toList());
        DevicePass pass = new DevicePass(device, stream, rows);
        RopeTable rope = RopeTable.text(device, stream, rows.positions(), text.headDim(), text.ropeTheta());
        TextActivations a = new TextActivations(TrainingMemory.on(device), DType.F32, text, rows.rows(), rows.targets().size(), recompute,
            0);
        DeviceBuffer features = device.allocate("features", DType.F32, Math.max(1, featureRows), hidden);
        DeviceBuffer dFeatures = device.allocate("gradient of the features", DType.F32, Math.max(1, featureRows), hidden);
        VisionTraining vision = VisionTraining.of(model, stream, gemm, gradients, recompute, null)) {
      stream.fill(gradients.all(), 0);
      stream.fill(dFeatures, 0);
      long before = device.memory().free();
      int at = 0;
      for (PreparedImage image : images) {
        vision.features(image, features.slice((long) at * hidden, image.rows(), hidden));
        at += image.rows();
      }
      new LanguageModelTraining(model, stream, gemm, gradients, null, null, recompute)
          .run(pass, images.isEmpty() ? null : features, dFeatures, rope, a);
      for (PreparedImage image : images.reversed()) {
        at -= image.rows();
        vision.backward(image, dFeatures.slice((long) at * hidden, image.rows(), hidden));
      }
      stream.synchronize();
      double loss = 0;
      for (float value : a.losses.getFloats(stream)) {
        loss += value;
      }
      return new Result(loss, FileGradients.read(model, gradients, stream), before - device.memory().free(),
          planned(images, trained, recompute));
    }
  }

  private static long planned(List<PreparedImage> images, Predicate<DeviceBuffer> trained, boolean recompute) {
    int largest = images.stream().mapToInt(image -> image instanceof PreparedImage.Patches p
        ? p.pixels().gridHeight() * p.pixels().gridWidth() : 0).max().orElse(0);
    return VisionTraining.bytes(model.config(), DType.F32, largest, towerWeights.stream().anyMatch(trained), recompute);
  }

  private List<PreparedImage> images(TrainingCase golden) {
    List<PreparedImage> images = new ArrayList<>();
    RowEncoder.Options options = RowEncoder.Options.of(model.config(), golden.folder())
        .withBlockSize(golden.blockSize());
    try (ConversationData data = ConversationData.open(
        Files.writeString(folder.resolve("samples.json"), golden.json().get("samples").toString()), TrainingFolder.encoder(options))) {
      for (int i = 0; i < data.size(); i++) {
        data.row(i).images().forEach(image -> images.add(image.image()));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return images;
  }

  @ParameterizedTest
  @FieldSource("NAMES")
  void everyTensorHasTheGradientOfTheReference(String name) {
    TrainingCase golden = TrainingCase.read(name);
    Result result = step(golden, weight -> true, false);
    double expected = golden.step(0).get("loss").asDouble();
    assertEquals(expected, result.loss(), 1e-5 * expected);
    JsonNode probes = golden.step(0).get("gradients");
    double squares = 0;
    int compared = 0;
    for (Map.Entry<String, float[]> tensor : result.gradients().entrySet()) {
      JsonNode probe = probes.get(NamingScheme.DIFFUSION_VL.nameInFile(tensor.getKey()));
      double norm = FileGradients.probe(tensor.getValue())[0];
      squares += norm * norm;
      if (probe == null) {
        assertEquals(0, norm, tensor.getKey() + " takes no part");
      } else {
        FileGradients.assertProbe(tensor.getKey(), probe, tensor.getValue());
        compared++;
      }
    }
    assertEquals(probes.size(), compared);
    assertEquals(golden.step(0).get("grad_norm").asDouble(), Math.sqrt(squares), 1e-5 * Math.sqrt(squares));
    assertEquals(result.plannedBytes(), result.visionBytes(), 0.02 * result.plannedBytes());
  }

  /** In f32 training sees the very features that inference sees. */
  @ParameterizedTest
  @ValueSource(strings = {"one", "two"})
  void featuresAreThoseOfInference(String name) {
    TrainingCase golden = TrainingCase.read(name);
    int hidden = model.config().text().hiddenSize();
    try (Stream stream = device.newStream();
        Gemm gemm = new Gemm(stream);
        Twin none = new Twin(TrainingMemory.on(device), "gradients", List.of());
        VisionTraining vision = VisionTraining.of(model, stream, gemm, none, false, null);
        ImageEncoder encoder = model.vision().newEncoder(model.kernels(), stream, gemm)) {
      int at = 0;
      for (PreparedImage image : images(golden)) {
        try (DeviceBuffer expected = device.allocate("inference", DType.F32, image.rows(), hidden);
            DeviceBuffer actual = device.allocate("training", DType.F32, image.rows(), hidden)) {
          encoder.prepare(List.of(ImageFiles.read(golden.folder().resolve("image0_" + at++ + ".png")))).getFirst().encode(expected);
          vision.features(image, actual);
          assertArrayEquals(expected.getFloats(stream), actual.getFloats(stream));
          vision.backward(image, actual); // everything is frozen
        }
      }
    }
  }

  /** Recomputing is the same work done twice, and what is frozen changes nothing for the rest. */
  @Test
  void whatIsKeptAndWhatIsFrozenChangesNoBit() {
    TrainingCase golden = TrainingCase.read("two");
    Result whole = step(golden, weight -> true, false);
    Map<String, float[]> all = whole.gradients();
    Result recomputed = step(golden, weight -> true, true);
    assertSame(all, recomputed, all.size());
    Result projector = step(golden, weight -> !textWeights.contains(weight) && !towerWeights.contains(weight), false);
    assertSame(all, projector, 5);
    assertTrue(recomputed.visionBytes() < 0.7 * whole.visionBytes(), recomputed.visionBytes() + " of " + whole.visionBytes());
    assertTrue(projector.visionBytes() < 0.8 * recomputed.visionBytes(), projector.visionBytes() + " of " + recomputed.visionBytes());
    assertEquals(projector.plannedBytes(), projector.visionBytes(), 0.02 * projector.plannedBytes());
    Result tower = step(golden, towerWeights::contains, true);
    assertSame(all, tower, all.keySet().stream().filter(name -> name.startsWith("vision.")).toList().size());
    assertSame(all, step(golden, textWeights::contains, false), all.keySet().stream().filter(name -> !name.startsWith("vision.")
        && !name.startsWith("merger.")).toList().size());
  }

  private static void assertSame(Map<String, float[]> expected, Result actual, int tensors) {
    assertEquals(tensors, actual.gradients().size());
    actual.gradients().forEach((name, values) -> assertArrayEquals(expected.get(name), values, name));
  }
}
