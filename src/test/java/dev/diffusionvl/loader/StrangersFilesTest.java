// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.model.GoldenCase;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.text.Normalizer;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Files that are not what their name says, settings in another place than usual, and text made to take long. */
class StrangersFilesTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final List<String> NAMES = List.of("config.json",
      "processor_config.json", "preprocessor_config.json", "vision_config.json",
      "generation_config.json", "tokenizer.json", "tokenizer_config.json", "added_tokens.json");

  @TempDir
  private Path folder;

  /** A model as it should be, whatever a test left here. */
  private void model() {
    for (File left : folder.toFile().listFiles(file -> !file.getName().equals("pipe"))) {
      assertTrue(left.delete(), left.toString());
    }
    TestCheckpoints.writeModel(folder, GoldenCase.MODEL, Map.of(), NamingScheme.DIFFUSION_VL, 1);
  }

  private void read() {
    ModelConfig.load(folder);
    Tokenizer.load(folder);
    Checkpoint.open(folder).close();
  }

  private String config() {
    return text("config.json");
  }

  private String text(String name) {
    return new String(InputFiles.read(folder.resolve(name), 1 << 24), StandardCharsets.UTF_8);
  }

  private void change(String from, String to) {
    String before = config();
    assertTrue(before.contains(from), before);
    TestCheckpoints.writeText(folder.resolve("config.json"), before.replaceFirst(Pattern.quote(from), to));
  }

  private String refused(Runnable reader) {
    String message = assertTimeoutPreemptively(Duration.ofSeconds(20), () -> assertThrows(BadInputException.class, reader::run))
        .getMessage();
    assertEquals(1, message.lines().count(), message);
    return message;
  }

  @Test
  void aLinkThatLeadsNowhereIsNotAnAbsentFile() throws IOException {
    for (String name : List.of("processor_config.json", "preprocessor_config.json", "tokenizer_config.json", "added_tokens.json",
        "vision_tower.safetensors", "projector.safetensors", "model.safetensors", "tokenizer.json")) {
      model();
      Path file = folder.resolve(name);
      Files.deleteIfExists(file);
      Files.createSymbolicLink(file, Path.of("nowhere"));
      assertTrue(refused(this::read).startsWith(file + ": a link that leads nowhere"), name);
      Files.delete(file);
      Files.createSymbolicLink(file, file.getFileName());
      assertTrue(refused(this::read).startsWith(file + ": "), name);
      Files.delete(file);
    }
  }

  @Test
  void pipesFoldersAndDevicesAreRefusedBeforeReading() throws Exception {
    Path pipe = folder.resolve("pipe");
    assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
    for (Path special : List.of(pipe, Path.of("/dev/zero"), folder)) {
      assertTrue(refused(() -> ImageFiles.read(special)).matches(".*: (not a regular file|a directory, not a file)"));
      assertTrue(refused(() -> Safetensors.open(special)).startsWith(special.toString()));
      assertTrue(refused(() -> Json.readObject(special, 100)).startsWith(special.toString()));
    }
    model();
    for (String name : NAMES) {
      Path file = folder.resolve(name);
      byte[] before = Files.exists(file) ? Files.readAllBytes(file) : null;
      Files.deleteIfExists(file);
      if (name.equals("vision_config.json") || name.equals("generation_config.json")) {
        continue; // read only where config.json is silent
      }
      Files.createSymbolicLink(file, pipe);
      assertEquals(file + ": not a regular file", refused(this::read));
      Files.delete(file);
      if (before != null) {
        Files.write(file, before);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "<!DOCTYPE html><html>", " <html lang=en>",
      "<?xml version='1.0'?><Error>", "PK\u0003\u0004rest", "Entry not found"})
  void whatStandsInPlaceOfAFileIsSaid(String content) {
    for (String name : List.of("config.json", "tokenizer.json", "model.safetensors")) {
      model();
      TestCheckpoints.writeText(folder.resolve(name), content);
      String message = refused(this::read);
      assertTrue(message.startsWith(folder.resolve(name) + ": is a "), message);
    }
    String message = refused(() -> ImageFiles.decode(content.getBytes(StandardCharsets.ISO_8859_1), "photo"));
    assertTrue(message.startsWith("photo: format: is a "), message);
  }

  @Test
  void namesAndAddressesAreAnsweredWithWhatToDo() {
    assertTrue(refused(() -> ModelConfig.load(Path.of("hustvl/DiffusionVL"))).contains("hf download"));
    assertTrue(refused(() -> ModelConfig.load(Path.of("https://huggingface.co/a/b"))).contains("hf download"));
    assertTrue(refused(() -> ImageFiles.read(Path.of("https://example.org/cat.png"))).contains("download it"));
  }

  @Test
  void imageSettingsAreFoundWhereNewerLibrariesWriteThem() throws IOException {
    model();
    String own = Files.exists(folder.resolve("preprocessor_config.json")) ? text("preprocessor_config.json") : null;
    Files.deleteIfExists(folder.resolve("preprocessor_config.json"));
    TestCheckpoints.writeText(folder.resolve("config.json"),
        config().replaceAll("\"(min|max)_pixels\"", "\"other_$1\""));
    ConfigReader silent = new ConfigReader(folder);
    silent.read();
    assertEquals(2, silent.remarks().size(), silent.remarks().toString());
    TestCheckpoints.writeText(folder.resolve("processor_config.json"), """
        {"image_processor": {"size": {"shortest_edge": 12544, "longest_edge": 50176}, "image_mean": [0.1, 0.2, 0.3]}, "video_processor": {}}
        """);
    ConfigReader reader = new ConfigReader(folder);
    ModelConfig config = reader.read();
    assertEquals(List.of(), reader.remarks());
    assertEquals(12544, config.minPixels());
    assertEquals(50176, config.maxPixels());
    assertEquals(0.2f, config.imageMean()[1]);
    // as the newer libraries have it, the nested settings win
    TestCheckpoints.writeText(folder.resolve("preprocessor_config.json"), own != null ? own : "{\"min_pixels\": 1000}");
    assertEquals(12544, ModelConfig.load(folder).minPixels());
  }

  /** Settings that are computed in one way only: another value is named, whichever file it stands in. */
  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
      "do_resize | false", "do_normalize | false", "do_rescale | false", "resample | 2", "rescale_factor | 1.0", "patch_size | 7",
      "merge_size | 4", "temporal_patch_size | 1"})
  void settingsOfImagesThatAreNotComputedAreRefused(String name, String value) {
    model();
    String others = text("preprocessor_config.json").replaceFirst("\"" + name + "\"", "\"other\"");
    TestCheckpoints.writeText(folder.resolve("preprocessor_config.json"), others.replaceFirst("\\{", "{\"" + name + "\": " + value + ","));
    assertTrue(refused(() -> ModelConfig.load(folder)).startsWith(folder.resolve("preprocessor_config.json") + ": " + name + ": " + value));
    TestCheckpoints.writeText(folder.resolve("preprocessor_config.json"), others);
    TestCheckpoints.writeText(folder.resolve("processor_config.json"), "{\"image_processor\": {\"" + name + "\": " + value + "}}");
    assertTrue(refused(() -> ModelConfig.load(folder)).startsWith(folder.resolve("processor_config.json") + ": image_processor." + name));
  }

  @Test
  void layersThatAreNotComputedAreRefused() throws IOException {
    model();
    String plain = config();
    for (String place : List.of("", "/text_config", "/vision_config")) {
      ObjectNode config = (ObjectNode) JSON.readTree(plain);
      ((ObjectNode) config.at(place)).put("hidden_act", "gelu");
      refusedAs(place.isEmpty() ? without(config, "text_config") : config, "hidden_act: gelu is not supported, only silu is");
    }
    ObjectNode config = (ObjectNode) JSON.readTree(plain);
    ((ObjectNode) config.get("text_config")).putArray("layer_types").add("full_attention").add("sliding_attention");
    refusedAs(config, "text_config.layer_types: [full_attention, sliding_attention]: only full_attention is supported");
  }

  private static ObjectNode without(ObjectNode config, String name) {
    config.remove(name);
    return config;
  }

  private void refusedAs(ObjectNode config, String said) {
    TestCheckpoints.writeText(folder.resolve("config.json"), config.toString());
    String message = refused(() -> ModelConfig.load(folder));
    assertTrue(message.startsWith(folder.resolve("config.json") + ": ") && message.endsWith(said), message);
  }

  @ParameterizedTest
  @ValueSource(strings = {"{\"rope_type\": \"yarn\", \"factor\": 4.0}", "{\"type\": \"linear\", \"factor\": 2}", "{\"type\": \"dynamic\"}",
      "{\"rope_type\": \"llama3\"}", "{\"factor\": 2.0}"})
  void scaledPositionsAreRefused(String scaling) {
    for (String name : List.of("rope_scaling", "rope_parameters")) {
      model();
      TestCheckpoints.writeText(folder.resolve("config.json"), config().replace("\"rope_scaling\"", "\"former\""));
      change("{", "{\"" + name + "\": " + scaling + ", \"unused\": 0, ");
      String message = refused(() -> ModelConfig.load(folder));
      assertTrue(message.contains(name + ".") && message.contains("not supported"), message);
    }
    // how a vision model says where its image rows stand; the model at hand has it
    model();
    assertTrue(config().contains("\"mrope_section\""));
    ModelConfig.load(folder);
  }

  @Test
  void longRunsOfMarksAreRefusedAtOnceAndOthersComposed() {
    String marks = "\u0316\u0301".repeat(50_000);
    assertTrue(refused(() -> Composition.nfc("a" + marks)).contains("combining marks"));
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < 20_000; i++) {
      text.append("e\u0301\u0316\u1112\u1161\u11ab\ud83d\ude00\u0bc6\u0bbe\u4e2d");
    }
    assertTimeoutPreemptively(Duration.ofSeconds(20),
        () -> assertEquals(Normalizer.normalize(text, Normalizer.Form.NFC), Composition.nfc(text)));
  }

  /** No cut is made in front of a character that may change with what stands before it: the later parts of every decomposition. */
  @Test
  void nothingThatComposesIsCutOff() {
    for (int c = 0; c <= Character.MAX_CODE_POINT; c++) {
      if (c >= 0xd800 && c <= 0xdfff) {
        continue;
      }
      String parts = Normalizer.normalize(Character.toString(c), Normalizer.Form.NFD);
      parts.codePoints().skip(1).forEach(part -> assertTrue(Composition.joins(part), Integer.toHexString(part)));
    }
  }

  @Test
  void headsThatNoKernelServesAreSaid() {
    model();
    assertEquals(List.of(), Inspection.of(folder).unserved());
    change("\"hidden_size\"", "\"head_dim\": 64, \"hidden_size\"");
    assertTrue(Inspection.of(folder).unserved().getFirst().startsWith("head_dim: heads of 64 numbers"));
    assertTrue(refused(() -> ModelFiles.open(folder)).startsWith(folder.resolve("config.json") + ": head_dim: heads of 64 numbers"));
  }
}
