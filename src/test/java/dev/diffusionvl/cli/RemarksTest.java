// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.cli.DvlProcess.Outcome;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the command line says of checkpoints whose files are elsewhere, absent or of another kind, and of models that cannot be run. */
class RemarksTest {
  @TempDir
  private Path temp;
  private DvlProcess dvl;
  private Path model;

  @BeforeEach
  void copy() throws IOException {
    dvl = new DvlProcess(temp);
    model = dvl.copyModel("model");
  }

  private void change(String name, String from, String to) throws IOException {
    Path file = model.resolve(name);
    String text = Files.readString(file);
    assertTrue(text.contains(from), text);
    Files.writeString(file, text.replace(from, to));
  }

  private Outcome generate() {
    Outcome outcome = dvl.runHere("generate", "--model", model.toString(), "--prompt", "Hello!", "--gen-length", "1", "--steps", "1",
        "--device", System.getProperty("dvl.device", "emulated"));
    assertEquals(0, outcome.code(), outcome.err());
    return outcome;
  }

  private static String remarks(Outcome outcome) {
    return String.join("\n", outcome.err().lines().filter(line -> !line.startsWith("dvl: running on")).toList());
  }

  @Test
  void aWholeCheckpointNeedsNoRemark() {
    assertEquals("", remarks(generate()));
  }

  @Test
  void defaultsThatDecideRowsAreSaid() throws IOException {
    Files.delete(model.resolve("preprocessor_config.json"));
    List<String> said = remarks(generate()).lines().toList();
    assertEquals(2, said.size(), said.toString());
    assertTrue(said.get(0).startsWith("dvl: " + model.resolve("config.json") + ": min_pixels: "), said.toString());
    assertTrue(said.get(1).startsWith("dvl: " + model.resolve("config.json") + ": max_pixels: "), said.toString());
    Files.writeString(model.resolve("processor_config.json"), "{\"image_processor\": {\"min_pixels\": 12544, \"max_pixels\": 50176}}");
    assertEquals("", remarks(generate()), "they have moved");
  }

  /** Prompts never use the template: one that cannot be judged stops nothing, nor does a long file that the tokenizer reads as well. */
  @Test
  void aTemplateThatIsNoneOrStandsInALongFileStopsNothing() throws IOException {
    Files.deleteIfExists(model.resolve("chat_template.json"));
    Files.writeString(model.resolve("processor_config.json"), "{\"chat_template\": {\"default\": 3}}");
    assertEquals("", remarks(generate()));
    Path config = model.resolve("tokenizer_config.json");
    Files.writeString(config, Files.readString(config).replaceFirst("\\{", "{" + " ".repeat(5 << 20)));
    assertEquals("", remarks(generate()));
  }

  /** Wherever the library that saved it has put the template: another form than the one that prompts are written in is said. */
  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
      "chat_template.jinja | {{ '<s>[INST]' }}",
      "chat_template.json | {\"chat_template\": \"[INST]\"}",
      "processor_config.json | {\"chat_template\": \"[INST]\"}",
      "tokenizer_config.json | {\"chat_template\": [{\"name\": \"default\", \"template\": \"[INST]\"}]}"})
  void aTemplateOfAnotherForm(String name, String content) throws IOException {
    Files.deleteIfExists(model.resolve("chat_template.json"));
    assertEquals("", remarks(generate()));
    Files.writeString(model.resolve(name), content);
    assertEquals("dvl: " + model.resolve(name) + ": chat_template: is not ChatML (<|im_start|>), in which prompts are written all the same",
        remarks(generate()));
    Files.writeString(model.resolve(name), content.replace("[INST]", "<|im_start|>"));
    assertEquals("", remarks(generate()));
    Files.delete(model.resolve(name));
    Files.createSymbolicLink(model.resolve(name), model.resolve("nowhere"));
    dvl.refusedHere(3, name + ": a link that leads nowhere", "generate", "--model", model.toString(), "--prompt", "Hello!");
  }

  @Test
  void noTemplate() throws IOException {
    Files.delete(model.resolve("chat_template.json"));
    change("tokenizer_config.json", "\"chat_template\"", "\"former_template\"");
    assertEquals("dvl: " + model + ": chat_template: stands in none of the usual files; prompts are written in ChatML (<|im_start|>)",
        remarks(generate()));
  }

  /** What the configuration says twice and differently, and layers of the files that it does not call for. */
  @Test
  void contradictionsAndWhatIsLeftOut() throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode config = (ObjectNode) mapper.readTree(model.resolve("config.json").toFile());
    ((ObjectNode) config.get("text_config")).put("rope_theta", 5.0).put("num_hidden_layers", 3);
    mapper.writeValue(model.resolve("config.json").toFile(), config.put("rope_theta", 6));
    List<String> said = remarks(generate()).lines().toList();
    assertEquals(3, said.size(), said.toString());
    assertTrue(said.get(0).endsWith("config.json: text_config.num_hidden_layers: 3 is taken, while num_hidden_layers says 4"), said.get(0));
    assertTrue(said.get(1).endsWith("config.json: text_config.rope_theta: 5.0 is taken, while rope_theta says 6"), said.get(1));
    assertTrue(said.get(2).startsWith("dvl: " + model + ": 12 tensors are left out, which config.json does not call for; the first is "
        + "model.layers.3."), said.get(2));
  }

  /** A model that no kernel serves is no internal error: both commands say why, with exit code 3. */
  @Test
  void aModelThatCannotBeRun() throws IOException {
    change("config.json", "\"hidden_size\"", "\"head_dim\": 64, \"hidden_size\"");
    Outcome inspect = dvl.runHere("inspect", model.toString());
    assertEquals(3, inspect.code(), inspect.err());
    assertEquals(1, inspect.err().lines().count(), inspect.err());
    assertTrue(inspect.err().contains(model.toString()), inspect.err());
    assertTrue(inspect.out().contains("cannot be run: head_dim: heads of 64 numbers"), inspect.out());
    dvl.refusedHere(3, "head_dim: heads of 64 numbers; there are attention kernels for", "generate", "--model", model.toString(),
        "--prompt", "Hello!");
  }

  @Test
  void anIncompleteModel() throws IOException {
    change("config.json", "\"num_hidden_layers\": ", "\"num_hidden_layers\": 1");
    Outcome inspect = dvl.runHere("inspect", model.toString());
    assertEquals(3, inspect.code(), inspect.out());
    assertTrue(inspect.err().contains("incomplete: ") && inspect.err().lines().count() == 1, inspect.err());
    dvl.refusedHere(3, "missing", "generate", "--model", model.toString(), "--prompt", "Hello!");
  }
}
