// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.TestCheckpoints;
import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import dev.diffusionvl.loader.NamingScheme;
import dev.diffusionvl.loader.ReleasedModel;
import dev.diffusionvl.cli.DvlProcess.Outcome;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Everything that a user can get wrong: exit code 3, one line with the file and the field, nothing on stdout, no device opened. */
class BadInputTest {
  private static final ObjectMapper MAPPER = new ObjectMapper();
  private static final String MODEL = DvlProcess.MODEL.toString();
  private static final String NORM = "model.norm.weight";

  @TempDir
  private Path temp;
  private DvlProcess dvl;

  @BeforeEach
  void start() {
    dvl = new DvlProcess(temp);
  }

  /** Both commands refuse a model whose safetensors header was changed, naming {@code mention}. */
  private void headerRefused(String name, String mention, Consumer<ObjectNode> damage) throws IOException {
    Path model = dvl.copyModel(name);
    Path file = model.resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(file);
    int length = (int) ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
    ObjectNode header = (ObjectNode) MAPPER.readTree(new String(bytes, 8, length, StandardCharsets.UTF_8));
    damage.accept(header);
    byte[] json = MAPPER.writeValueAsBytes(header);
    byte[] data = Arrays.copyOfRange(bytes, 8 + length, bytes.length);
    Files.write(file, ByteBuffer.allocate(8 + json.length + data.length).order(ByteOrder.LITTLE_ENDIAN).putLong(json.length).put(json)
        .put(data).array());
    bothRefuse(model, mention);
  }

  private void bothRefuse(Path model, String mention) {
    generateRefused(model, mention);
    Outcome inspect = dvl.runHere("inspect", model.toString());
    assertEquals(3, inspect.code(), inspect.err());
    assertEquals(1, inspect.err().lines().count(), inspect.err());
    assertTrue((inspect.out() + inspect.err()).contains(mention), inspect.out() + inspect.err());
  }

  private void generateRefused(Path model, String mention) {
    Outcome outcome = dvl.refusedHere(3, mention, "generate", "--model", model.toString(), "--prompt", "Hello!");
    assertTrue(outcome.err().startsWith("dvl: " + model), outcome.err());
  }

  private static void extent(ObjectNode header, long begin, long end) {
    ((ObjectNode) header.get(NORM)).putArray("data_offsets").add(begin).add(end);
  }

  private static long begin(ObjectNode header) {
    return header.get(NORM).get("data_offsets").get(0).asLong();
  }

  @Test
  void safetensorsHeaders() throws Exception {
    headerRefused("overlapping", NORM, header -> extent(header, begin(header) - 2, begin(header) + 510));
    headerRefused("negative", NORM, header -> extent(header, -2, 510));
    headerRefused("misshaped", NORM, header -> ((ObjectNode) header.get(NORM)).putArray("shape").add(128).add(2));
    headerRefused("integers", NORM + ": dtype I16, weights are F32, F16 or BF16",
        header -> ((ObjectNode) header.get(NORM)).put("dtype", "I16"));
    headerRefused("dtype", NORM, header -> ((ObjectNode) header.get(NORM)).put("dtype", "Q4"));
    headerRefused("missing", NORM, header -> header.set("model.norm.mass", header.remove(NORM)));
  }

  @Test
  void safetensorsLengths() throws Exception {
    Path huge = dvl.copyModel("huge");
    byte[] bytes = Files.readAllBytes(huge.resolve("model.safetensors"));
    byte[] lied = bytes.clone();
    ByteBuffer.wrap(lied).order(ByteOrder.LITTLE_ENDIAN).putLong(1L << 62);
    Files.write(huge.resolve("model.safetensors"), lied);
    bothRefuse(huge, "header: length 4611686018427387904");
    Path truncated = dvl.copyModel("truncated");
    Files.write(truncated.resolve("model.safetensors"), Arrays.copyOf(bytes, bytes.length / 2));
    bothRefuse(truncated, "truncated");
    Path empty = dvl.copyModel("empty");
    Files.write(empty.resolve("model.safetensors"), new byte[0]);
    bothRefuse(empty, "model.safetensors: header");
  }

  @Test
  void configurationAndTokenizer() throws Exception {
    Path broken = dvl.copyModel("broken");
    Files.writeString(broken.resolve("config.json"), "{\"hidden_size\": ");
    bothRefuse(broken, "config.json");
    Path block = dvl.copyModel("block");
    JsonNode config = MAPPER.readTree(block.resolve("config.json").toFile());
    MAPPER.writeValue(block.resolve("config.json").toFile(), ((ObjectNode) config).put("bd3lm_block_size", 0));
    bothRefuse(block, "bd3lm_block_size: 0");
    Path tokenizer = dvl.copyModel("tokenizer");
    Files.writeString(tokenizer.resolve("tokenizer.json"), "[]");
    generateRefused(tokenizer, "tokenizer.json: expected an object");
  }

  @Test
  void missingPaths() throws Exception {
    bothRefuse(temp.resolve("no-such-model"), "no such model directory");
    bothRefuse(Files.writeString(temp.resolve("file"), "no folder"), "not a directory");
    for (String file : new String[] {"config.json", "model.safetensors"}) {
      Path model = dvl.copyModel("without-" + file);
      Files.delete(model.resolve(file));
      bothRefuse(model, file + ": no such file");
    }
    Path model = dvl.copyModel("without-tokenizer");
    Files.delete(model.resolve("tokenizer.json"));
    Files.delete(model.resolve("vocab.json"));
    generateRefused(model, "tokenizer.json: no such file");
    dvl.refusedHere(3, "no-such-folder", "generate", "--model", MODEL, "--prompt", "Hello!", "--trace",
        temp.resolve("no-such-folder/t.jsonl").toString());
  }

  private void imageRefused(Path image, String mention) {
    Outcome outcome = dvl.refusedHere(3, mention, "generate", "--model", MODEL, "--image", image.toString(), "--prompt", "Hello!");
    assertTrue(outcome.err().startsWith("dvl: " + image), outcome.err());
  }

  @Test
  void images() throws IOException {
    imageRefused(temp.resolve("no-such-image.png"), "no such file");
    imageRefused(Files.writeString(temp.resolve("text.png"), "This is no picture.\n"), "format");
    byte[] png = Files.readAllBytes(Path.of("samples/images/yellow-square.png"));
    imageRefused(Files.write(temp.resolve("half.png"), Arrays.copyOf(png, png.length / 2)), "image data");
    imageRefused(Files.write(temp.resolve("bomb.png"), PngFile.header(60_000, 60_000)), "60000 x 60000 pixels");
    imageRefused(Files.write(temp.resolve("thin.png"), PngFile.white(20_000, 10)), "at most 200 times");
  }

  @Test
  void promptsOverTheLimit() throws Exception {
    dvl.refusedHere(3, "tokenizer_model_max_length", "generate", "--model", MODEL, "--prompt", "Hello! ".repeat(600));
    dvl.refusedHere(3, "max_position_embeddings", "generate", "--model", MODEL, "--prompt", "Hello!", "--gen-length", "5000");
    dvl.refusedHere(3, "2 in the text, but 0 images", "generate", "--model", MODEL, "--prompt", "<image> and <image>");
  }

  /** A released model's headers without its data: recognised by inspect, and refused for want of memory before anything is read. */
  @Test
  void aReleasedModelOfOneTensorLess() throws Exception {
    Path model = Files.createDirectory(temp.resolve("3b"));
    ReleasedModel released = ReleasedModel.VL_3B;
    Map<String, Tensor> tensors = released.write(model, NamingScheme.DIFFUSION_VL, 2);
    Outcome whole = dvl.runHere("inspect", model.toString(), "--json");
    assertEquals(0, whole.code(), whole.err());
    assertEquals(3_754_622_976L, MAPPER.readTree(whole.out()).get("parameters").asLong());
    TestCheckpoints.copyFiles(DvlProcess.MODEL, model);
    Outcome tooLarge = dvl.run("generate", "--model", model.toString(), "--prompt", "Hello!", "--device", "emulated");
    assertEquals(4, tooLarge.code(), tooLarge.err());
    assertTrue(tooLarge.err().contains("weights of 7.5 GB"), tooLarge.err());

    Path less = Files.createDirectory(temp.resolve("less"));
    tensors.remove("layers.3.mlp.down_proj.weight");
    released.write(less, NamingScheme.DIFFUSION_VL, 2, tensors);
    Outcome outcome = dvl.runHere("inspect", less.toString(), "--json");
    assertEquals(3, outcome.code(), outcome.err());
    assertEquals("[\"model.layers.3.mlp.down_proj.weight\"]", MAPPER.readTree(outcome.out()).get("missing").toString());
    assertEquals(1, outcome.err().lines().count(), outcome.err());
  }
}
