// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.cli.DvlProcess.Outcome;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.loader.TestCheckpoints;
import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import dev.diffusionvl.model.SigLipParts;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** From a language model and a tower to a checkpoint of the SigLIP family, by the command. */
class SigLipTranslationTest {
  private static final String IMAGES = "samples/images";
  private static final List<String> RECORDS = List.of(
      record("a", "yellow-square.png", "What color is the square?", "The square is yellow."),
      record("b", "square-and-cross.png", "Describe this image.", "A pink square and a green cross."),
      record("c", null, "Who are you?", "I am a model."));

  @TempDir private static Path parts;

  @TempDir private Path temp;
  private DvlProcess dvl;
  private Path data;

  @BeforeAll
  static void makeParts() {
    SigLipParts.write(parts);
  }

  @BeforeEach
  void start() throws IOException {
    dvl = new DvlProcess(temp);
    data = Files.write(temp.resolve("data.jsonl"), RECORDS);
  }

  private static String record(String id, String image, String question, String answer) {
    String picture = image == null ? "" : "\"image\": \"" + image + "\", ";
    return ("{\"id\": \"%s\", %s\"conversations\": [{\"from\": \"human\", \"value\": \"%s%s\"}, "
        + "{\"from\": \"gpt\", \"value\": \"%s\"}]}").formatted(
        id, picture, image == null ? "" : "<image>\\n", question, answer);
  }

  private Outcome translate(Path base, Path out, String... more) {
    List<String> command = new ArrayList<>(List.of("translate", "--base", base.toString(), "--data", data.toString(), "--images", IMAGES,
        "--out",
        out.toString(), "--dtype", "f32"));
    command.addAll(List.of(more));
    return dvl.runHere(command.toArray(String[]::new));
  }

  private Outcome firstStage(Path out, String... more) {
    List<String> options = new ArrayList<>(List.of("--vision-tower", parts.resolve("tower").toString(), "--train", "projector",
        "--objective",
        "autoregressive"));
    options.addAll(List.of(more));
    return translate(parts.resolve("language"), out, options.toArray(String[]::new));
  }

  private static JsonNode config(Path checkpoint) throws IOException {
    return new ObjectMapper().readTree(checkpoint.resolve("config.json").toFile());
  }

  /** Rows of an image in a prompt: those of the way in which the checkpoint says that images are prepared. */
  private int imageRows(Path checkpoint, String... more) throws Exception {
    List<String> command = new ArrayList<>(List.of("generate", "--model", checkpoint.toString(), "--image", IMAGES + "/yellow-square.png",
        "--prompt", "What color is the square?", "--gen-length", "8", "--json", "--dtype", "f32"));
    command.addAll(List.of(more));
    Outcome outcome = dvl.run(command.toArray(String[]::new));
    assertEquals(0, outcome.code(), outcome.err());
    return new ObjectMapper().readTree(outcome.out()).get("image_tokens").asInt();
  }

  @Test
  void twoStages() throws Exception {
    Path first = temp.resolve("first");
    Outcome stage1 = firstStage(first, "--lr", "1e-2", "--steps", "3");
    assertEquals(0, stage1.code(), stage1.err());
    JsonNode inspected = new ObjectMapper().readTree(dvl.runHere("inspect", first.toString(), "--json").out());
    assertEquals("diffusionvl-qwen", inspected.get("family").asText());
    assertEquals("E", inspected.get("scheme").asText());
    assertTrue(inspected.get("complete").asBoolean() && inspected.get("unexpected").isEmpty(), inspected.toString());
    JsonNode config = config(first);
    assertEquals("llava_qwen", config.get("model_type").asText(), "it has learnt no blocks yet");
    assertEquals("LlavaQwenForCausalLM", config.get("architectures").get(0).asText());
    assertFalse(config.get("enable_bd3lm").asBoolean() || inspected.get("diffusion").asBoolean());
    assertEquals("autoregressive", inspected.get("decoding").asText());
    assertEquals("square", config.get("image_aspect_ratio").asText());
    assertEquals("flat", config.get("mm_patch_merge_type").asText());
    assertEquals(144, config.get("mm_hidden_size").asInt());
    assertEquals("mlp2x_gelu", config.get("mm_projector_type").asText());
    assertFalse(config.get("mm_use_im_patch_token").asBoolean(true));
    assertTrue(config.get("mm_vision_tower").asText().contains("siglip"));
    assertEquals(16, imageRows(first), "one square of 4 x 4 patches, no newline");
    assertTrue(Files.exists(first.resolve("preprocessor_config.json")));
    assertTrue(Files.readString(first.resolve("tokenizer_config.json")).contains("Qwen2Tokenizer"),
        "the tokenizer is the language model's");
    onlyTheProjectorLearnt(first);

    Path second = temp.resolve("second");
    Outcome stage2 = translate(first, second, "--steps", "2", "--lr", "1e-3");
    assertEquals(0, stage2.code(), stage2.err());
    assertEquals(2, Files.readAllLines(second.resolve("train.jsonl")).size(), "the log is that of the second stage");
    assertEquals("diffusionvl_qwen", config(second).get("model_type").asText());
    assertEquals("DiffusionVLQwenForCausalLM", config(second).get("architectures").get(0).asText());
    assertTrue(config(second).get("enable_bd3lm").asBoolean());
    assertEquals(8, config(second).get("bd3lm_block_size").asInt());
    assertEquals("anyres_max_4", config(second).get("image_aspect_ratio").asText());
    assertEquals("spatial_unpad", config(second).get("mm_patch_merge_type").asText());
    assertEquals(36, config(second).get("image_grid_pinpoints").size());
    assertEquals("[62,124]", config(second).get("image_grid_pinpoints").get(1).toString());
    assertEquals(16 + 8 * (7 + 1), imageRows(second), "thumbnail and mosaic");
    Map<String, Tensor> before = TestCheckpoints.read(first);
    Map<String, Tensor> after = TestCheckpoints.read(second);
    assertEquals(before.keySet(), after.keySet());
    for (String learnt : List.of("embed_tokens.weight", "siglip.encoder.layers.0.mlp.fc1.weight", "projector.0.weight", "image_newline")) {
      assertFalse(Arrays.equals(before.get(learnt).data(), after.get(learnt).data()), learnt);
    }
  }

  /** The other half of the paper's second table: all of it learns token by token, and is decoded so, also from a diffusion model. */
  @Test
  void anAutoregressiveModel() throws Exception {
    Path first = temp.resolve("first");
    assertEquals(0, firstStage(first, "--lr", "1e-2", "--steps", "1").code());
    Path blocks = temp.resolve("blocks");
    assertEquals(0, translate(first, blocks, "--steps", "1").code());
    for (Path base : List.of(first, blocks)) {
      Path llava = temp.resolve(base.getFileName() + "-llava");
      Outcome trained = translate(base, llava, "--objective", "autoregressive", "--image-aspect-ratio", "anyres_max_4", "--steps", "2");
      assertEquals(0, trained.code(), trained.err());
      assertEquals("llava_qwen", config(llava).get("model_type").asText());
      assertTrue(config(llava).get("bd3lm_block_size").isNull());
      JsonNode inspected = new ObjectMapper().readTree(dvl.runHere("inspect", llava.toString(), "--json").out());
      assertEquals("E autoregressive false", inspected.get("scheme").asText() + " " + inspected.get("decoding").asText() + " "
          + inspected.get("diffusion").asBoolean());
      assertTrue(inspected.get("complete").asBoolean() && inspected.get("unexpected").isEmpty(), inspected.toString());
      assertEquals(16 + 8 * (7 + 1), imageRows(llava, "--decoding", "autoregressive"), "tiles");
      assertFalse(Arrays.equals(TestCheckpoints.read(base).get("embed_tokens.weight").data(),
          TestCheckpoints.read(llava).get("embed_tokens.weight").data()));
    }
  }

  private void onlyTheProjectorLearnt(Path checkpoint) {
    Map<String, Tensor> base = SigLipParts.tensors(temp.resolve("whole"));
    Map<String, Tensor> trained = TestCheckpoints.read(checkpoint);
    assertEquals(base.keySet(), trained.keySet(), "neither the unused layer nor what else an original tower has");
    base.forEach((name, tensor) -> {
      if (!name.startsWith("projector.") && !name.equals("image_newline")) {
        Tensor kept = trained.get(name);
        assertArrayEquals(TestCheckpoints.convert(tensor, TensorType.F32).data(), TestCheckpoints.convert(kept, TensorType.F32).data(),
            name);
      }
    });
  }

  @Test
  void theNewProjectorIsOfTheSeed() throws Exception {
    for (String[] run : new String[][] {{"one", "7"}, {"same", "7"}, {"other", "8"}}) {
      assertEquals(0, firstStage(temp.resolve(run[0]), "--seed", run[1], "--steps", "1", "--lr", "1e-30").code());
    }
    byte[] one = Files.readAllBytes(temp.resolve("one/model.safetensors"));
    assertArrayEquals(one, Files.readAllBytes(temp.resolve("same/model.safetensors")));
    assertFalse(Arrays.equals(one, Files.readAllBytes(temp.resolve("other/model.safetensors"))));
    Map<String, Tensor> fresh = TestCheckpoints.read(temp.resolve("one"));
    uniform(fresh.get("projector.0.weight"), 144);
    uniform(fresh.get("projector.2.bias"), 64);
  }

  /** Within ±1/√n, and about as wide as that: the deviation of what is uniform there is 1/√3n. */
  private static void uniform(Tensor tensor, int inputs) {
    java.nio.FloatBuffer values = java.nio.ByteBuffer.wrap(tensor.data()).order(java.nio.ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
    double squares = 0;
    for (int i = 0; i < values.limit(); i++) {
      assertTrue(Math.abs(values.get(i)) <= 1 / Math.sqrt(inputs) + 1e-6);
      squares += values.get(i) * values.get(i);
    }
    assertEquals(1 / Math.sqrt(3.0 * inputs), Math.sqrt(squares / values.limit()), 0.2 / Math.sqrt(inputs));
  }

  @Test
  void otherShapesOfImages() throws Exception {
    assertEquals(0, firstStage(temp.resolve("padded"), "--image-aspect-ratio", "pad", "--steps", "1").code());
    assertEquals(17, imageRows(temp.resolve("padded")));
    dvl.refusedHere(2, "--image-aspect-ratio: 'keep' is not supported; pad, square, anyres and anyres_max_N are", "translate", "--base",
        parts.resolve("language").toString(), "--vision-tower", parts.resolve("tower").toString(), "--data", data.toString(), "--out",
        temp.resolve("out").toString(), "--image-aspect-ratio", "keep");
  }

  @Test
  void partsThatDoNotFit() throws Exception {
    refused("has a vision tower of its own", DvlProcess.MODEL, parts.resolve("tower"));
    refused("no such model directory", parts.resolve("language"), temp.resolve("nowhere"));
    refused("'qwen2' is not a SigLIP tower", parts.resolve("language"), parts.resolve("language"));
    refused("vision tower alone, for --vision-tower", parts.resolve("tower"), parts.resolve("tower"));
    Path broken = Files.createDirectory(temp.resolve("broken"));
    for (String file : List.of("config.json", "model.safetensors")) {
      Files.copy(parts.resolve("tower").resolve(file), broken.resolve(file));
    }
    Files.writeString(broken.resolve("config.json"), SigLipParts.TOWER_CONFIG.replace("\"hidden_size\": 144", "\"hidden_size\": 160"));
    refused("vision_model.embeddings.patch_embedding.weight: shape [144, 3, 14, 14], the configuration needs [160, 3, 14, 14]",
        parts.resolve("language"), broken);
    Files.writeString(broken.resolve("config.json"), SigLipParts.TOWER_CONFIG.replace("gelu_pytorch_tanh", "relu"));
    refused("vision_config.hidden_act: 'relu' is not supported", parts.resolve("language"), broken);
    dvl.refusedHere(3, "vision_config: missing: a language model alone, which dvl translate can give a --vision-tower", "translate",
        "--base", parts.resolve("language").toString(), "--data", data.toString(), "--out", temp.resolve("none").toString());
  }

  private void refused(String mention, Path base, Path tower) {
    dvl.refusedHere(3, mention, "translate", "--base", base.toString(), "--vision-tower", tower.toString(), "--data", data.toString(),
        "--out",
        temp.resolve("out").toString());
    assertTrue(Files.notExists(temp.resolve("out")));
  }
}
