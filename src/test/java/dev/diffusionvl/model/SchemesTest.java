// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.TestCheckpoints;
import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.Inspection;
import dev.diffusionvl.loader.NamingScheme;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.GenerationResult;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.model.Session;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The demo model rewritten into every naming scheme of its family, sharded or not, in every type of weights: the same tokens. */
class SchemesTest {
  private static final Path MODEL = Path.of("samples/models/diffusionvl-tiny");

  private static Device device;
  private static Map<String, Tensor> tensors;
  private static GenerationResult expected;

  @TempDir
  private Path folder;

  @BeforeAll
  static void load() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    tensors = TestCheckpoints.read(MODEL);
    expected = generate(MODEL);
    assertTrue(expected.text().startsWith("The image shows 2 shapes."), expected.text());
  }

  @AfterAll
  static void close() {
    device.close();
  }

  private static GenerationResult generate(Path directory) {
    try (DiffusionVl model = DiffusionVl.load(device, directory, DType.BF16); Session session = model.newSession()) {
      Request request = Request.of("Describe this image.", ImageFiles.read(Path.of("samples/images/square-and-cross.png")));
      return session.generate(request, GenerationOptions.DEFAULTS.withGenLength(24));
    }
  }

  @ParameterizedTest(name = "scheme {0} in {1} files of {2}")
  @CsvSource({"QWEN_VL,1,BF16", "QWEN_VL,3,F32", "QWEN_VL_RESAVED,1,F16", "QWEN_VL_RESAVED,2,BF16", "SEPARATE_FILES,1,F32",
    "SEPARATE_FILES,2,BF16", "DIFFUSION_VL,1,F16", "DIFFUSION_VL,4,F32"})
  void sameTokens(NamingScheme scheme, int shards, TensorType type) throws IOException {
    Map<String, Tensor> converted = new LinkedHashMap<>();
    tensors.forEach((name, tensor) -> converted.put(name, TestCheckpoints.convert(tensor, type)));
    TestCheckpoints.writeModel(folder, MODEL, converted, scheme, shards);
    if (scheme == NamingScheme.SEPARATE_FILES) {
      separateVisionConfig();
    }
    Inspection inspection = Inspection.of(folder);
    assertEquals(scheme, inspection.scheme());
    assertEquals(type.name(), inspection.dtype());
    assertTrue(inspection.complete() && inspection.unexpected().isEmpty(), inspection.toJson());
    GenerationResult result = generate(folder);
    assertArrayEquals(expected.tokenIds(), result.tokenIds());
    assertEquals(expected.text(), result.text());
  }

  /** The converter of the reference puts the tower's configuration into a file of its own. */
  private void separateVisionConfig() throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode config = (ObjectNode) mapper.readTree(folder.resolve("config.json").toFile());
    mapper.writeValue(folder.resolve("vision_config.json").toFile(), config.remove("vision_config"));
    mapper.writeValue(folder.resolve("config.json").toFile(), config);
    assertFalse(Files.readString(folder.resolve("config.json")).contains("vision_config"));
  }
}
