// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GoldenCase;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Recorded cases that somebody has made otherwise, or wrong: what is wrong is named. */
class StepCheckTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Path CASE = Path.of("src/test/resources/golden-train/text/case.json");

  private static Device device;
  private static DiffusionVl model;

  @TempDir private Path folder;

  @BeforeAll
  static void load() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    model = DiffusionVl.load(device, GoldenCase.MODEL, DType.F32);
  }

  @AfterAll
  static void close() {
    model.close();
    device.close();
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
      "/optimizer | null | optimizer: expected an object",
      "/optimizer/lr | -1 | optimizer: ",
      "/optimizer/clip_grad_norm | 0 | optimizer: ",
      "/optimizer/weight_decay | null | optimizer.weight_decay: expected a number",
      "/block_size | 0 | block_size: expected a whole number of at least 1",
      "/block_size | 8.5 | block_size: expected a whole number of at least 1",
      "/block_size | 99999999999 | block_size: expected a whole number of at least 1",
      "/steps | [] | steps: is empty",
      "/steps | 3 | steps: expected an array",
      "/samples | [] | samples: is empty",
      "/samples/0/conversations | [] | conversations",
      "/steps/0/samples | null | steps.samples: expected an array",
      "/steps/0/samples | [] | steps.samples: 0 entries for 1 samples",
      "/steps/0/samples/0/t | [] | steps.samples.t: expected ",
      "/steps/0/samples/0/t/0 | 0 | steps.samples.t: expected ",
      "/steps/0/samples/0/t/0 | 1.01 | steps.samples.t: expected ",
      "/steps/0/samples/0/t/0 | \"x\" | steps.samples.t: expected a number",
      "/steps/0/samples/0/masked | [0.5] | steps.samples.masked: expected a whole number",
      "/steps/0/samples/0/masked | [-1] | steps.samples.masked: expected a whole number",
      "/steps/0/samples/0/masked | [99999] | steps.samples.masked: row 99999 is not a labelled row"})
  void whatIsWrongIsNamed(String pointer, String value, String expected) throws IOException {
    JsonNode recorded = JSON.readTree(CASE.toFile());
    int slash = pointer.lastIndexOf('/');
    String name = pointer.substring(slash + 1);
    switch (recorded.at(pointer.substring(0, slash))) {
      case ObjectNode object -> object.set(name, JSON.readTree(value));
      case ArrayNode array -> array.set(Integer.parseInt(name), JSON.readTree(value));
      default -> throw new AssertionError(pointer);
    }
    Files.writeString(folder.resolve("case.json"), recorded.toString());
    String message = assertThrows(BadInputException.class, () -> StepCheck.run(model, folder, false)).getMessage();
    assertTrue(message.contains(expected) && !message.contains("\n"), message);
  }

  @Test
  void aCaseThatIsNotThere() {
    Path nowhere = folder.resolve("nowhere");
    assertEquals(nowhere.resolve("case.json") + ": no such file",
        assertThrows(BadInputException.class, () -> StepCheck.run(model, nowhere, false)).getMessage());
  }
}
