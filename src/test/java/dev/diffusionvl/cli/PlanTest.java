// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.cli.DvlProcess.Outcome;
import dev.diffusionvl.loader.NamingScheme;
import dev.diffusionvl.loader.ReleasedModel;
import dev.diffusionvl.loader.TestCheckpoints;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What {@code dvl translate} says of the memory that it will take, before it takes any. */
class PlanTest {
  @TempDir private Path temp;
  private DvlProcess dvl;

  @BeforeEach
  void start() {
    dvl = new DvlProcess(temp);
  }

  private Path released(ReleasedModel model) throws IOException {
    Path folder = Files.createDirectories(temp.resolve(model.name()));
    model.write(folder, model == ReleasedModel.QWEN_7B ? NamingScheme.DIFFUSION_VL_SIGLIP : NamingScheme.DIFFUSION_VL, 2);
    return folder;
  }

  private static JsonNode json(Outcome outcome) throws IOException {
    return new ObjectMapper().readTree(outcome.out()).get("plan");
  }

  @Test
  void everythingOfThe3bFitsIn80Gigabytes() throws IOException {
    String base = released(ReleasedModel.VL_3B).toString();
    Outcome table = dvl.runHere("translate", "--base", base, "--plan", "--memory", "80GB", "--recompute", "--max-length", "8192");
    assertEquals(0, table.code(), table.err());
    for (String line : new String[] {"weights", "masters", "moments", "gradients", "activations", "vision", "need", "free"}) {
      assertTrue(table.out().contains(line), table.out());
    }
    Outcome whole = dvl.runHere("translate", "--base", base, "--plan", "--memory", "80GB", "--max-length", "8192", "--json");
    assertEquals(4, whole.code());
    assertTrue(whole.err().contains("--recompute"), whole.err());
    JsonNode plan = json(whole);
    assertEquals(80_000_000_000L, plan.get("free").asLong());
    assertTrue(!plan.get("fits").asBoolean() && plan.get("need").asLong() > plan.get("free").asLong());
    assertEquals("--recompute", plan.get("alternatives").get(0).get("flags").asText());
  }

  /** The configuration is enough. */
  @ParameterizedTest
  @ValueSource(strings = {"VL_7B", "QWEN_7B"})
  void the7bIsToldWhatMakesItFit(String name) throws IOException {
    Path folder = released(ReleasedModel.valueOf(name));
    try (var files = Files.list(folder)) {
      for (Path file : files.filter(f -> !f.endsWith("config.json")).toList()) {
        Files.delete(file);
      }
    }
    Outcome whole = dvl.runHere("translate", "--base", folder.toString(), "--plan", "--memory", "80GB", "--max-length", "8192", "--json");
    assertEquals(4, whole.code(), whole.err());
    JsonNode others = json(whole).get("alternatives");
    assertTrue(others.size() > 0 && whole.err().contains("--lora 16"), whole.err());
    for (JsonNode other : others) { // the very flags that it names
      String[] flags = ("translate --base " + folder + " --plan --memory 80GB --max-length 8192 --json "
          + other.get("flags").asText()).split(" ");
      Outcome again = dvl.runHere(flags);
      assertEquals(0, again.code(), again.err());
      assertEquals(other.get("need").asLong(), json(again).get("need").asLong());
    }
  }

  @Test
  void aRunThatDoesNotFitReadsNoWeights() throws IOException {
    Path base = temp.resolve("holes"); // no values: a load would see nothing but zeros
    TestCheckpoints.copyFiles(DvlProcess.MODEL, base);
    Map<String, TestCheckpoints.Tensor> tensors = TestCheckpoints.read(DvlProcess.MODEL);
    tensors.replaceAll((name, tensor) -> new TestCheckpoints.Tensor(tensor.type(), tensor.shape(), null));
    TestCheckpoints.writeWeights(base, tensors, NamingScheme.DIFFUSION_VL, 1);
    Path data = Files.writeString(temp.resolve("data.jsonl"), """
        {"id": "a", "conversations": [{"from": "human", "value": "What is 2 plus 4?"}, {"from": "gpt", "value": "It is 6."}]}
        """);
    Path out = temp.resolve("out");
    Outcome outcome = dvl.runHere("translate", "--base", base.toString(), "--data", data.toString(), "--out", out.toString(), "--memory",
        "1.5MB", "--device", "emulated");
    assertEquals(4, outcome.code(), outcome.err());
    assertTrue(outcome.out().contains("need") && outcome.err().contains("1.50 MB are free"), outcome.out() + outcome.err());
    assertEquals(1, outcome.err().lines().count(), outcome.err());
    assertTrue(Files.notExists(out), "nothing has begun");
    Outcome planned = dvl.runHere("translate", "--base", base.toString(), "--data", data.toString(), "--plan", "--memory", "1GB");
    assertEquals(0, planned.code(), planned.err());
  }

  @ParameterizedTest
  @ValueSource(strings = {"--memory 80XB", "--memory -1GB", "--lora 0", "--lora 8:0", "--lora x", "--lora 8:16 --train vision",
      "--optimizer sgd"})
  void oddValuesAreUsageErrors(String flags) {
    String[] arguments = ("translate --plan --base " + DvlProcess.MODEL + " " + flags).split(" ");
    Outcome outcome = dvl.runHere(arguments);
    assertEquals(2, outcome.code(), outcome.err());
    assertTrue(outcome.err().contains(flags.split(" ")[0]), outcome.err());
  }
}
