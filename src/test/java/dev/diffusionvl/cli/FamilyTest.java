// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.loader.TestCheckpoints;
import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.NamingScheme;
import dev.diffusionvl.loader.ReleasedModel;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.model.SigLipCheckpoint;
import dev.diffusionvl.cli.DvlProcess.Outcome;
import java.io.IOException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The command line with checkpoints of the SigLIP family: no flag says which family it is. */
class FamilyTest {
  private static final String IMAGE = "samples/images/yellow-square.png";
  private static final String QUESTION = "What color is the square?";

  @TempDir private static Path models;
  private static Path tiny;

  @TempDir private Path temp;
  private DvlProcess dvl;

  @BeforeAll
  static void makeCheckpoint() {
    tiny = models.resolve("tiny-siglip");
    SigLipCheckpoint.write(tiny);
  }

  @BeforeEach
  void start() {
    dvl = new DvlProcess(temp);
  }

  private static JsonNode json(Outcome outcome) throws IOException {
    assertEquals(0, outcome.code(), outcome.err());
    return new ObjectMapper().readTree(outcome.out());
  }

  @Test
  void inspectTellsTheFamilies() throws Exception {
    assertEquals("diffusionvl-qwenvl", json(dvl.runHere("inspect", DvlProcess.MODEL.toString(), "--json")).get("family").asText());
    JsonNode small = json(dvl.runHere("inspect", tiny.toString(), "--json"));
    assertEquals("diffusionvl-qwen", small.get("family").asText());
    assertEquals("E", small.get("scheme").asText());
    assertTrue(small.get("complete").asBoolean() && small.get("unexpected").isEmpty());

    Path fake = Files.createDirectory(temp.resolve("fake-7b"));
    ReleasedModel.QWEN_7B.write(fake, NamingScheme.DIFFUSION_VL_SIGLIP, 4);
    JsonNode large = json(dvl.runHere("inspect", fake.toString(), "--json"));
    assertEquals("diffusionvl-qwen", large.get("family").asText());
    assertEquals(8_030_348_832L, large.get("parameters").asLong());
    assertTrue(large.get("complete").asBoolean());
  }

  @Test
  void inspectNamesAMissingTensor() throws Exception {
    Path fake = Files.createDirectory(temp.resolve("fake-7b"));
    Map<String, Tensor> tensors = ReleasedModel.QWEN_7B.write(fake, NamingScheme.DIFFUSION_VL_SIGLIP, 1);
    tensors.remove("siglip.encoder.layers.25.mlp.fc2.bias");
    ReleasedModel.QWEN_7B.write(fake, NamingScheme.DIFFUSION_VL_SIGLIP, 1, tensors);
    Outcome outcome = dvl.runHere("inspect", fake.toString());
    assertEquals(3, outcome.code());
    assertTrue(outcome.out().contains("missing: model.vision_tower.vision_tower.vision_model.encoder.layers.25.mlp.fc2.bias"),
        outcome.out());
    assertEquals(1, outcome.err().lines().count(), outcome.err());
  }

  /** 219 x 235 pixels on 4 x 4 tiles: 16 x 14 features, shrunk to 8 x 7, with a newline for each row; before them the thumbnail's. */
  @Test
  void generateWithAnImage() throws Exception {
    Outcome outcome = dvl.run("generate", "--model", tiny.toString(), "--image", IMAGE, "--prompt", QUESTION, "--gen-length", "8",
        "--json");
    JsonNode json = json(outcome);
    assertEquals(8, json.get("token_ids").size());
    assertEquals(16 + 8 * (7 + 1), json.get("image_tokens").asInt());
    assertEquals(1, outcome.err().lines().count(), outcome.err()); // which device, and nothing about cuDNN
  }

  @Test
  void generateWithTextAloneAndWithTwoImages() throws Exception {
    JsonNode text = json(dvl.run("generate", "--model", tiny.toString(), "--prompt", QUESTION, "--gen-length", "8", "--json"));
    assertEquals(0, text.get("image_tokens").asInt());
    JsonNode two = json(dvl.run("generate", "--model", tiny.toString(), "--image", IMAGE, "--image", IMAGE, "--prompt", QUESTION,
        "--gen-length", "8", "--json"));
    assertEquals(2 * 17, two.get("image_tokens").asInt());
  }

  /** A build of the emulated device that has everything but libcudnn.so.9. */
  @Test
  void withoutCudnnOneLineSaysSo() throws Exception {
    Path root = temp.resolve("root/dvl/native");
    for (String library : new String[] {"libcuda.so.1", "libcublas.so.12"}) {
      copy(resource("emulated/" + library), root.resolve("no-cudnn"));
    }
    // The folder of test classes has one of the same name, with other kernels.
    try (Stream<Path> kernels = Files.list(resource("kernels/emulated/extract_patches.so").getParent())) {
      for (Path kernel : kernels.filter(file -> file.toString().endsWith(".so")).toList()) {
        copy(kernel, root.resolve("kernels/no-cudnn"));
      }
    }
    String[] command = {"generate", "--model", tiny.toString(), "--image", IMAGE, "--prompt", QUESTION, "--gen-length", "8", "--dtype",
        "f32",
        "--device", "emulated"};
    Outcome without = new DvlProcess(temp, "-Xbootclasspath/a:" + temp.resolve("root"), "-Ddvl.emulated.build=no-cudnn").run(command);
    assertEquals(0, without.code(), without.err());
    assertEquals(List.of("dvl: libcudnn.so.9 not found: the patch convolution takes the GEMM path (patches and a matrix product)"),
        without.err().lines().filter(line -> !line.contains("running on")).toList());
    Outcome with = dvl.run(command);
    assertEquals(1, with.err().lines().count(), with.err());
    assertEquals(with.out(), without.out());
  }

  private static void copy(Path file, Path folder) throws IOException {
    Files.copy(file, Files.createDirectories(folder).resolve(file.getFileName()));
  }

  private static Path resource(String name) throws Exception {
    URL url = FamilyTest.class.getResource("/dvl/native/" + name);
    return Path.of(url.toURI()).toRealPath();
  }

  /** A checkpoint with one tensor replaced. */
  private Path spoilt(String name, String tensor, long... shape) {
    Path files = SigLipCheckpoint.files(temp.resolve(name + "-files"), SigLipCheckpoint.CONFIG);
    Map<String, Tensor> tensors = SigLipCheckpoint.tensors(ModelConfig.load(files));
    tensors.put(tensor, new Tensor(TensorType.BF16, shape, null));
    TestCheckpoints.writeModel(temp.resolve(name), files, tensors, NamingScheme.DIFFUSION_VL_SIGLIP, 1);
    return temp.resolve(name);
  }

  @Test
  void wrongProjector() throws Exception {
    Path model = spoilt("projector", "projector.2.weight", 64, 72);
    dvl.refusedHere(3, "model.mm_projector.2.weight: shape [64, 72], the configuration needs [64, 64]", "generate", "--model",
        model.toString(),
        "--prompt", QUESTION);
    Outcome inspect = dvl.runHere("inspect", model.toString());
    assertEquals(3, inspect.code());
    assertTrue(inspect.out().contains("misshaped: model.mm_projector.2.weight"), inspect.out());
  }

  @Test
  void wrongTower() throws Exception {
    Path siglipTensors = temp.resolve("siglip-tensors");
    TestCheckpoints.writeModel(siglipTensors, DvlProcess.MODEL, TestCheckpoints.read(tiny), NamingScheme.DIFFUSION_VL_SIGLIP, 1);
    Path qwenTensors = temp.resolve("qwen-tensors");
    TestCheckpoints.writeModel(qwenTensors, SigLipCheckpoint.files(temp.resolve("files"), SigLipCheckpoint.CONFIG),
        TestCheckpoints.read(DvlProcess.MODEL), NamingScheme.DIFFUSION_VL, 1);
    for (String[] command : new String[][] {{"inspect"}, {"generate", "--prompt", QUESTION, "--model"}}) {
      String[] withModel = java.util.Arrays.copyOf(command, command.length + 1);
      withModel[command.length] = siglipTensors.toString();
      dvl.refusedHere(3, "is of the family diffusionvl-qwenvl, but the weights have the SigLIP vision tower", withModel);
      withModel[command.length] = qwenTensors.toString();
      dvl.refusedHere(3, "is of the family diffusionvl-qwen, but the weights have the Qwen2.5-VL vision tower", withModel);
    }
  }

  @Test
  void extremeImages() throws Exception {
    Path line = temp.resolve("line.png");
    Files.write(line, PngFile.white(201, 1));
    dvl.refusedHere(3, "line.png: size: 201 x 1 pixels; the longer side may be at most 200 times", "generate", "--model", tiny.toString(),
        "--image", line.toString(), "--prompt", QUESTION);
    Path thin = temp.resolve("thin.png");
    Files.write(thin, PngFile.white(200, 1));
    dvl.refusedHere(3, "thin.png: size: 200 x 1 pixels; too long and narrow", "generate", "--model", tiny.toString(), "--image",
        thin.toString(), "--prompt", QUESTION);
  }
}
