// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.cli.DvlProcess.Outcome;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.NamingScheme;
import dev.diffusionvl.loader.TestCheckpoints;
import dev.diffusionvl.model.SigLipCheckpoint;
import dev.diffusionvl.model.SigLipParts;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code --decoding} and {@code --history} at the command line, and models that choose their decoding themselves. */
class DecodingCommandTest {
  private static final Path BASE = Path.of("samples/models/qwen25vl-tiny");
  private static final String LINE = "dvl: no diffusion model: decoding is autoregressive";

  @TempDir private Path temp;
  private DvlProcess dvl;

  @BeforeEach
  void start() {
    dvl = new DvlProcess(temp);
  }

  private static JsonNode json(Outcome outcome) throws IOException {
    assertEquals(0, outcome.code(), outcome.err());
    return new ObjectMapper().readTree(outcome.out());
  }

  private Outcome generate(Path model, String... more) throws Exception {
    List<String> command = new ArrayList<>(List.of("generate", "--model", model.toString(), "--device", "emulated", "--dtype", "f32",
        "--json", "--prompt"));
    command.addAll(List.of(more));
    return dvl.run(command.toArray(String[]::new));
  }

  private static int[] ids(JsonNode json) {
    return json.get("token_ids").valueStream().mapToInt(JsonNode::asInt).toArray();
  }

  /** The golden conversation of two turns, as a user would ask it. */
  @Test
  void aBaseWithAHistory() throws Exception {
    Path folder = Path.of("src/test/resources/golden-ar/a5_turns");
    JsonNode golden = new ObjectMapper().readTree(folder.resolve("case.json").toFile());
    Path history = Files.writeString(temp.resolve("history.json"), golden.get("history").toString());
    Outcome outcome = generate(BASE, golden.get("prompt").asText(), "--image", folder.resolve("image0.png").toString(), "--history",
        history.toString(), "--gen-length", "60", "--speculate", "4");
    assertTrue(outcome.err().lines().anyMatch(LINE::equals), outcome.err());
    JsonNode result = json(outcome);
    assertArrayEquals(golden.get("expected").get("token_ids").valueStream().mapToInt(JsonNode::asInt).toArray(), ids(result));
    assertEquals("autoregressive", result.get("decoding").asText());
    assertEquals("eos", result.get("finish_reason").asText());
    assertEquals(golden.get("prompt_ids").size(), result.get("prompt_tokens").asInt());
    assertTrue(result.get("forwards").asInt() < result.get("token_ids").size(), "drafts save passes");
    assertEquals(result.get("token_ids").size() - 1, result.get("generated_tokens").asInt());
  }

  @Test
  void optionsThatHaveNoEffectAreSaid() throws Exception {
    Outcome outcome = generate(BASE, "Hello!", "--gen-length", "2", "--decoding", "autoregressive", "--steps", "4");
    assertTrue(outcome.err().contains("dvl: --steps has no effect: decoding is autoregressive"), outcome.err());
    assertFalse(outcome.err().contains(LINE), "it was asked for");
  }

  @Test
  void repetitionPenalty() throws Exception {
    JsonNode plain = json(generate(BASE, "Describe this image.", "--gen-length", "24", "--image", "samples/images/yellow-square.png"));
    Outcome outcome = generate(BASE, "Describe this image.", "--gen-length", "24", "--image", "samples/images/yellow-square.png",
        "--repetition-penalty", "20", "--speculate", "2");
    assertFalse(Arrays.equals(ids(plain), ids(json(outcome))));
    assertTrue(outcome.err().contains("dvl: --speculate has no effect with --repetition-penalty"), outcome.err());
    String[] model = {"generate", "--model", DvlProcess.MODEL.toString(), "--prompt", "Hello!", "--repetition-penalty", "1.1"};
    dvl.refusedHere(2, "--repetition-penalty is of no use to the decoding block", model);
    for (String decoding : new String[] {"block", "full"}) {
      dvl.refusedHere(2, "--repetition-penalty is of no use to the decoding " + decoding, "generate", "--model", BASE.toString(),
          "--prompt", "Hello!", "--repetition-penalty", "1.1", "--decoding", decoding);
    }
    dvl.refusedHere(2, "--repetition-penalty is 0.0, allowed is above 0", "generate", "--model", BASE.toString(), "--prompt", "Hello!",
        "--repetition-penalty", "0");
  }

  @Test
  void fullDiffusionOfTheDemoModel() throws Exception {
    JsonNode full = json(generate(DvlProcess.MODEL, "Hello!", "--gen-length", "8", "--decoding", "full", "--steps", "3"));
    assertEquals("full", full.get("decoding").asText());
    assertEquals(1, full.get("blocks").asInt());
    int rows = full.get("prompt_tokens").asInt() + 8;
    JsonNode block = json(generate(DvlProcess.MODEL, "Hello!", "--gen-length", "8", "--block-size", "" + rows, "--steps", "3"));
    assertArrayEquals(ids(block), ids(full));
    dvl.refusedHere(3, "full diffusion: block-size is 8", "generate", "--model", DvlProcess.MODEL.toString(), "--prompt", "Hello!",
        "--decoding", "full", "--block-size", "8");
    JsonNode conversation = json(generate(DvlProcess.MODEL, "And now?", "--gen-length", "8", "--history",
        Files.writeString(temp.resolve("h.json"), "[[\"Hello!\", \"Hello!\"]]").toString()));
    assertEquals("block", conversation.get("decoding").asText());
    assertTrue(conversation.get("prompt_tokens").asInt() > full.get("prompt_tokens").asInt());
  }

  @Test
  void whatIsWrongIsSaid() throws IOException {
    dvl.refusedHere(2, "--decoding is 'greedy', allowed are block, full and autoregressive", "generate", "--prompt", "Hello!", "--decoding",
        "greedy");
    String[][] wrong = {{"{}", "expected an array of pairs"}, {"[[\"a\"]]", "[0]: expected a pair of texts"},
        {"[[\"a\", \"b\"], [\"c\", 1]]", "[1]: expected a pair of texts"}, {"[[", "not JSON"}};
    for (String[] history : wrong) {
      Path file = Files.writeString(temp.resolve("wrong.json"), history[0]);
      dvl.refusedHere(3, history[1], "generate", "--model", BASE.toString(), "--prompt", "Hello!", "--history",
          file.toString());
    }
    dvl.refusedHere(3, "none.json", "generate", "--model", BASE.toString(), "--prompt", "Hello!", "--history",
        temp.resolve("none.json").toString());
  }

  /** Qwen2.5 without a tower answers texts and refuses images. */
  @Test
  void aLanguageModelAlone() throws Exception {
    SigLipParts.write(temp);
    Path language = temp.resolve("language");
    JsonNode found = json(dvl.runHere("inspect", "--json", language.toString()));
    assertEquals("autoregressive", found.get("decoding").asText());
    assertEquals("qwen", found.get("family").asText());
    Outcome outcome = generate(language, "Hello!", "--gen-length", "6");
    assertEquals("autoregressive", json(outcome).get("decoding").asText());
    assertEquals(2, outcome.err().lines().count(), outcome.err()); // the decoding and the device
    Outcome image = generate(language, "Hello!", "--image", "samples/images/yellow-square.png");
    assertEquals(3, image.code(), image.err());
    assertTrue(image.err().contains("sees no images"), image.err());
  }

  /** The SigLIP family, trained token by token: the names of a translated model, and positions that count on. */
  @Test
  void llavaOfTheSigLipFamily() throws Exception {
    String config = SigLipCheckpoint.CONFIG.replace("diffusionvl_qwen", "llava_qwen").replace("\"enable_bd3lm\": true, ", "")
        .replace("\"bd3lm_block_size\": 8,", "").replace("1018", "[1018, 1016]");
    Path files = SigLipCheckpoint.files(temp.resolve("files"), config);
    Path model = temp.resolve("llava");
    TestCheckpoints.writeModel(model, files, SigLipCheckpoint.tensors(ModelConfig.load(files)), NamingScheme.DIFFUSION_VL_SIGLIP, 2);
    JsonNode found = json(dvl.runHere("inspect", "--json", model.toString()));
    assertFalse(found.get("diffusion").asBoolean());
    assertEquals("E", found.get("scheme").asText());
    assertTrue(ModelConfig.load(model).mropeSection().isEmpty());
    assertEquals(List.of(1018, 1016), ModelConfig.load(model).eosTokenIds());
    Outcome outcome = generate(model, "What color is the square?", "--image", "samples/images/yellow-square.png", "--gen-length", "6");
    assertTrue(outcome.err().contains(LINE), outcome.err());
    assertTrue(json(outcome).get("image_tokens").asInt() > 0);
  }
}
