// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.model.GoldenCase;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelConfigTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir
  private Path folder;

  private ObjectNode config;

  @BeforeEach
  void readTinyConfig() throws IOException {
    config = (ObjectNode) JSON.readTree(GoldenCase.MODEL.resolve("config.json").toFile());
  }

  @Test
  void tinyModelIsRead() {
    ModelConfig tiny = ModelConfig.load(GoldenCase.MODEL);
    assertEquals(new TextConfig(256, 4, 2, 1, 128, 768, 1024, 1024, 1e-6, 1e6, true), tiny.text());
    assertEquals(new VisionConfig(4, 160, 2, 432, 14, 2, 2, 112, 3, 256, Set.of(1, 3)), tiny.vision());
    assertNull(tiny.sigLip());
    assertEquals(1023, tiny.maskTokenId());
    assertEquals(1018, tiny.eosTokenId());
    assertEquals(8, tiny.blockSize());
    // only the preprocessor has them
    assertEquals(12544, tiny.minPixels());
    assertEquals(50176, tiny.maxPixels());
    assertEquals(1024, tiny.tokenizerModelMaxLength());
    assertArrayEquals(new float[] {0.48145466f, 0.4578275f, 0.40821073f}, tiny.imageMean());
    assertArrayEquals(new float[] {0.26862954f, 0.26130258f, 0.27577711f}, tiny.imageStd());
    assertTrue(tiny.diffusion());
  }

  @Test
  void nestedFieldsWinOverTheTopLevel() {
    config.put("num_hidden_layers", 7).put("tie_word_embeddings", false);
    assertEquals(4, load().text().layers());
    assertTrue(load().text().tieWordEmbeddings());
    text().remove("num_hidden_layers");
    text().putNull("tie_word_embeddings");
    assertEquals(7, load().text().layers());
    assertFalse(load().text().tieWordEmbeddings());
  }

  @Test
  void flatConfigsAreRead() {
    config.remove("text_config");
    assertEquals(new TextConfig(256, 4, 2, 1, 128, 768, 1024, 1024, 1e-6, 1e6, true), load().text());
  }

  /** What a checkpoint does not say; null counts as not said. */
  @Test
  void defaultsAreThoseOfTheReference() {
    config.remove("tokenizer_model_max_length");
    config.putNull("bd3lm_block_size").putNull("mask_token_id").putNull("eos_token_id").put("vocab_size", 151936);
    text().putNull("eos_token_id").put("vocab_size", 151936);
    ModelConfig loaded = load();
    assertEquals(151671, loaded.maskTokenId());
    assertEquals(151645, loaded.eosTokenId());
    assertEquals(8, loaded.blockSize());
    assertEquals(147456, loaded.minPixels());
    assertEquals(262144, loaded.maxPixels());
    assertEquals(8192, loaded.tokenizerModelMaxLength());
    config.put("model_max_length", 4096);
    assertEquals(4096, load().tokenizerModelMaxLength());
  }

  @Test
  void pixelLimitsOfTheConfigWin() throws IOException {
    Files.writeString(folder.resolve("preprocessor_config.json"),
        "{\"size\":{\"shortest_edge\":3136,\"longest_edge\":12845056},\"image_mean\":[0.5,0.5,0.5]}");
    assertEquals(3136, load().minPixels());
    assertEquals(12845056, load().maxPixels());
    assertArrayEquals(new float[] {0.5f, 0.5f, 0.5f}, load().imageMean());
    config.put("min_pixels", 147456).put("max_pixels", 262144);
    assertEquals(147456, load().minPixels());
    assertEquals(262144, load().maxPixels());
  }

  @Test
  void ofSeveralEndsTheFirstCounts() {
    set(text(), "eos_token_id", "[1016, 1018]");
    assertEquals(1016, load().eosTokenId());
  }

  @Test
  void headDimensionMayBeGiven() {
    text().put("head_dim", 64);
    assertEquals(64, load().text().headDim());
  }

  @Test
  void oldSpellingOfChannelsIsRead() {
    vision().remove("in_channels");
    assertEquals(3, load().vision().inChannels());
    vision().put("in_chans", 4);
    refused("vision_config.in_chans: 4");
  }

  @Test
  void visionConfigMayBeAFileOfItsOwn() throws IOException {
    Files.writeString(folder.resolve("vision_config.json"), config.remove("vision_config").toString());
    assertEquals(160, load().vision().hiddenSize());
  }

  @Test
  void theOtherFamilyHasNoVisionConfig() {
    config.remove("vision_config");
    refused("vision_config: missing");
    config.put("model_type", "diffusionvl_qwen").put("mm_projector_type", "mlp2x_gelu");
    ModelConfig other = load();
    assertNull(other.vision());
    assertNotNull(other.sigLip());
    assertEquals(729, other.sigLip().positions());
  }

  @Test
  void plainBaseModelsAreToldApart() {
    config.put("model_type", "qwen2_5_vl").remove("enable_bd3lm");
    config.remove("bd3lm_block_size");
    assertFalse(load().diffusion());
    config.put("enable_bd3lm", true);
    assertTrue(load().diffusion());
  }

  /** A base's positions are three numbers; those of what was made from it are not. */
  @Test
  void rotaryPairsOfABase() throws IOException {
    config.put("model_type", "qwen2_5_vl").remove("enable_bd3lm");
    config.remove("bd3lm_block_size");
    set(text(), "rope_scaling", "{\"type\": \"mrope\", \"mrope_section\": [16, 24, 24]}");
    assertEquals(List.of(16, 24, 24), load().mropeSection());
    assertEquals(List.of(), load().asDiffusion(5, 8).mropeSection());
    set(text(), "rope_scaling", "{\"rope_type\": \"default\", \"mrope_section\": [16, 24, 23]}");
    refused("mrope_section: is [16, 24, 23], expected three numbers that sum to 64");
    set(text(), "rope_scaling", "{\"rope_type\": \"default\", \"mrope_section\": [64]}");
    refused("mrope_section: is [64], expected three numbers");
    set(text(), "rope_scaling", "{\"rope_type\": \"default\", \"mrope_section\": [16, \"a\", 24]}");
    refused("mrope_section");
    text().remove("rope_scaling");
    config.remove("rope_scaling");
    set(text(), "rope_parameters", "{\"rope_type\": \"default\", \"rope_theta\": 10000, \"mrope_section\": [8, 28, 28]}");
    assertEquals(List.of(8, 28, 28), load().mropeSection());
    config.put("enable_bd3lm", true);
    assertEquals(List.of(), load().mropeSection());
  }

  /** Either file may say where an answer ends. */
  @Test
  void endsOfBothFiles() throws IOException {
    set(text(), "eos_token_id", "[1018, 7]");
    Files.writeString(folder.resolve("generation_config.json"), "{\"eos_token_id\": [7, 1016]}");
    assertEquals(List.of(1018, 7, 1016), load().eosTokenIds());
    assertEquals(1018, load().eosTokenId());
    Files.writeString(folder.resolve("generation_config.json"), "{\"eos_token_id\": 2000}");
    refused("generation_config.json: eos_token_id: 2000 is out of range");
  }

  @Test
  void newerFilesNestTheRotaryBase() {
    config.remove("rope_theta");
    text().remove("rope_theta");
    refused("rope_theta: missing");
    text().putObject("rope_parameters").put("rope_theta", 5e5).put("rope_type", "default");
    assertEquals(5e5, load().text().ropeTheta());
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', textBlock = """
      hidden_size             | 0                      | text_config.hidden_size: 0 is out of range
      hidden_size             | "256"                  | text_config.hidden_size: expected an integer
      hidden_size             | 256.5                  | text_config.hidden_size: expected an integer
      hidden_size             | 1e300                  | text_config.hidden_size: expected an integer
      hidden_size             | 99999999999999999999   | text_config.hidden_size: expected an integer
      hidden_size             | 512                    | vision_config.out_hidden_size: 256 differs
      num_attention_heads     | 3                      | text_config.num_attention_heads: 3 does not divide
      num_key_value_heads     | 4                      | text_config.num_key_value_heads: 4 is out of range
      num_hidden_layers       | 100000                 | text_config.num_hidden_layers: 100000 is out of range
      vocab_size              | -1                     | text_config.vocab_size: -1 is out of range
      rms_norm_eps            | 0                      | text_config.rms_norm_eps: 0 is out of range
      rms_norm_eps            | 1e-999                 | text_config.rms_norm_eps: 0.0 is out of range
      rms_norm_eps            | "x"                    | text_config.rms_norm_eps: expected a number
      rope_theta              | 1e999                  | text_config.rope_theta: Infinity is out of range
      tie_word_embeddings     | 1                      | text_config.tie_word_embeddings: expected true or false
      use_sliding_window      | true                   | text_config.use_sliding_window
      head_dim                | 127                    | text_config.head_dim: 127 is odd
      eos_token_id            | 1024                   | text_config.eos_token_id: 1024 is out of range
      eos_token_id            | []                     | text_config.eos_token_id: is an empty list
      eos_token_id            | ["x"]                  | text_config.eos_token_id: expected an integer
      eos_token_id            | [1024, 1]              | text_config.eos_token_id: 1024 is out of range
      """)
  void impossibleTextFieldsAreRefused(String name, String value, String problem) {
    set(text(), name, value);
    refused(problem);
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', textBlock = """
      bd3lm_block_size           | 0             | bd3lm_block_size: 0 is out of range
      bd3lm_block_size           | 2000          | bd3lm_block_size: 2000 is out of range
      mask_token_id              | 5000          | mask_token_id: 5000 is out of range
      mask_token_id              | null          | mask_token_id: missing, and the usual 151671 is beyond vocab_size
      tokenizer_model_max_length | 0             | tokenizer_model_max_length: 0 is out of range
      model_type                 | "llama"       | model_type: 'llama'
      model_type                 | 3             | model_type: expected a string
      text_config                | []            | text_config: expected an object
      vision_config              | 1             | vision_config: expected an object
      min_pixels                 | 0             | min_pixels: 0 is out of range
      min_pixels                 | 300000        | min_pixels: 300000 is above max_pixels 262144
      max_pixels                 | 1000000000000 | max_pixels: 1000000000000 is out of range
      """)
  void impossibleTopFieldsAreRefused(String name, String value, String problem) {
    set(config, name, value);
    refused(problem);
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', textBlock = """
      depth                   | 0      | vision_config.depth: 0 is out of range
      num_heads               | 3      | vision_config.num_heads: 160 / 3
      window_size             | 100    | vision_config.window_size: 100 is no multiple
      fullatt_block_indexes   | [4]    | vision_config.fullatt_block_indexes: 4 is out of range
      fullatt_block_indexes   | null   | vision_config.fullatt_block_indexes: missing
      fullatt_block_indexes   | ["a"]  | vision_config.fullatt_block_indexes: expected an integer
      """)
  void impossibleVisionFieldsAreRefused(String name, String value, String problem) {
    set(vision(), name, value);
    refused(problem);
  }

  /** Their class defaults describe other models. */
  @ParameterizedTest
  @CsvSource({"hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size",
    "vocab_size", "max_position_embeddings", "rms_norm_eps", "rope_theta"})
  void decisiveTextFieldsAreRequired(String name) {
    text().remove(name);
    load();
    config.remove(name);
    refused(name + ": missing");
  }

  @ParameterizedTest
  @CsvSource({"depth", "hidden_size", "num_heads", "intermediate_size", "patch_size", "temporal_patch_size",
    "spatial_merge_size", "window_size", "out_hidden_size", "fullatt_block_indexes"})
  void decisiveVisionFieldsAreRequired(String name) {
    vision().remove(name);
    refused("vision_config." + name + ": missing");
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
      ``            | expected a JSON object
      []            | expected a JSON object
      {"a":1        | not valid JSON (line 1
      {"a":1,"a":2} | uplicate
      nonsense      | not valid JSON
      {"a":NaN}     | not valid JSON
      """)
  void filesThatAreNoJsonObjectAreRefused(String text, String problem) throws IOException {
    Files.writeString(folder.resolve("config.json"), text);
    BadInputException e = assertThrows(BadInputException.class, () -> ModelConfig.load(folder));
    assertTrue(e.getMessage().startsWith(folder.resolve("config.json").toString()), e.getMessage());
    assertTrue(e.getMessage().contains(problem), e.getMessage());
  }

  @Test
  void missingDirectoriesAndFilesAreNamed() throws IOException {
    refusedMessage(() -> ModelConfig.load(folder.resolve("none")), "none: no such model directory");
    refusedMessage(() -> ModelConfig.load(folder), "config.json: no such file");
    Path file = Files.writeString(folder.resolve("file"), "");
    refusedMessage(() -> ModelConfig.load(file), "file: not a directory");
    Files.write(folder.resolve("config.json"), new byte[(4 << 20) + 1]);
    refusedMessage(() -> ModelConfig.load(folder), "config.json: is 4194305 bytes long");
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
      {"image_mean":[1,2]}        | image_mean: expected three numbers
      {"image_mean":"x"}          | image_mean: expected an array
      {"image_std":[1,0,1]}       | image_std: expected three positive numbers
      {"size":5}                  | size: expected an object
      []                          | expected a JSON object
      """)
  void brokenPreprocessorFilesAreRefused(String text, String problem) throws IOException {
    Files.writeString(folder.resolve("preprocessor_config.json"), text);
    refusedMessage(this::load, problem);
  }

  private ObjectNode text() {
    return (ObjectNode) config.get("text_config");
  }

  private ObjectNode vision() {
    return (ObjectNode) config.get("vision_config");
  }

  private static void set(ObjectNode object, String name, String value) {
    try {
      object.set(name, JSON.enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
          .readTree(value));
    } catch (IOException e) {
      throw new IllegalArgumentException(e);
    }
  }

  private ModelConfig load() {
    TestCheckpoints.writeText(folder.resolve("config.json"), config.toString());
    return ModelConfig.load(folder);
  }

  private void refused(String problem) {
    refusedMessage(this::load, problem);
  }

  private static void refusedMessage(Runnable load, String problem) {
    BadInputException e = assertThrows(BadInputException.class, load::run);
    assertTrue(e.getMessage().contains(problem), e.getMessage());
    assertEquals(1, e.getMessage().lines().count());
  }
}
