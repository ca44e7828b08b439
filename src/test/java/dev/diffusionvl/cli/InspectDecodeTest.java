// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.cli.DvlProcess.Outcome;
import dev.diffusionvl.loader.Safetensors;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.loader.TestCheckpoints;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code dvl inspect --decode}: one layer of a file as plain numbers. */
class InspectDecodeTest {
  private static final String LAYER = "model.layers.0.mlp.down_proj";
  private static final Path FILES = Path.of("src/test/resources/quant");

  @TempDir private Path temp;
  private DvlProcess dvl;

  @BeforeEach
  void start() {
    dvl = new DvlProcess(temp);
  }

  private Outcome decode(String name, String layer, String... more) throws IOException, InterruptedException {
    Path file = Files.copy(FILES.resolve(name + ".safetensors"), temp.resolve(name + ".safetensors"));
    String[] fixed = {"inspect", file.toString(), "--decode", layer, "--out", temp.resolve("out.safetensors").toString()};
    String[] all = Stream.concat(Arrays.stream(fixed), Arrays.stream(more)).toArray(String[]::new);
    return dvl.runHere(all);
  }

  private Path quantization(String name, String file, String before, String after) throws IOException {
    String config = new ObjectMapper().readTree(FILES.resolve("configs.json").toFile()).get(name).get("quantization_config").toString();
    return Files.writeString(temp.resolve(file), before + config + after);
  }

  @Test
  void aLayerIsWrittenAsNumbers() throws Exception {
    Outcome outcome = decode("gptq", LAYER, "--quantization", quantization("gptq", "q.json", "", "").toString());
    assertEquals(0, outcome.code(), outcome.err());
    try (Safetensors in = Safetensors.open(FILES.resolve("gptq.safetensors"));
        Safetensors out = Safetensors.open(temp.resolve("out.safetensors"))) {
      assertEquals(TensorType.F32, out.tensor(LAYER + ".weight").type());
      assertArrayEquals(TestCheckpoints.floats(in.tensor("expected")), TestCheckpoints.floats(out.tensor(LAYER + ".weight")));
    }
  }

  /** The configuration of the model that the file belongs to. */
  @Test
  void theModelsOwnConfigurationIsTheDefault() throws Exception {
    quantization("awq", "config.json", "{\"quantization_config\": ", "}");
    Outcome outcome = decode("awq", LAYER);
    assertEquals(0, outcome.code(), outcome.err());
    assertTrue(Files.exists(temp.resolve("out.safetensors")));
  }

  @Test
  void whatCannotBeDecodedIsBadInput() throws Exception {
    Outcome outcome = decode("awq", "model.layers.1.mlp.down_proj", "--quantization", quantization("awq", "q.json", "", "").toString());
    assertEquals(3, outcome.code(), outcome.err());
    assertTrue(outcome.err().contains("model.layers.1.mlp.down_proj.qweight: missing"), outcome.err());
    assertEquals(1, outcome.err().lines().count(), outcome.err());
    assertEquals(2, dvl.runHere("inspect", FILES.toString(), "--decode", LAYER).code());
  }
}
