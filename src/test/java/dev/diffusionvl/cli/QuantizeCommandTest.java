// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.cli.DvlProcess.Outcome;
import dev.diffusionvl.loader.NamingScheme;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.loader.TestCheckpoints;
import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code dvl quantize}: from a checkpoint to answers of a smaller one; what is refused; what is left when it is stopped or spoilt. */
class QuantizeCommandTest {
  private static final String MODEL = DvlProcess.MODEL.toString();
  private static final String SHAPES = "samples/data/shapes/";
  private static final String DEVICE = System.getProperty("dvl.device", "emulated");
  /** Questions of the shapes' held-out file that are asked; profile nightly: 0, all. */
  private static final int QUESTIONS = Integer.getInteger("dvl.quantize.questions", 8);
  private static final int RECORDS = QUESTIONS == 0 ? 64 : 2;

  @TempDir private Path temp;
  private DvlProcess dvl;

  @BeforeEach
  void start() {
    dvl = new DvlProcess(temp);
  }

  private Outcome quantize(String to, Path out, String... more) {
    String[] fixed = {"quantize", MODEL, "--to", to, "--group", "32", "--out", out.toString(), "--device", DEVICE};
    return dvl.runHere(Stream.concat(Stream.of(fixed), Stream.of(more)).toArray(String[]::new));
  }

  /** Of 100 questions at most so many fewer are answered word for word: 2 with 8 bits, 4 with 4. */
  @ParameterizedTest
  @CsvSource({"fp8, 'fp8 (E4M3), a scale per output', 0.02", "int4, 'int4, compressed-tensors, groups of 32, symmetric', 0.04"})
  void aSmallerModelAnswersAsBefore(String to, String format, double points) throws Exception {
    Path out = temp.resolve("small");
    Outcome outcome = quantize(to, out, "--records", "" + RECORDS, "--data", SHAPES + "train.json", "--images", SHAPES + "images", "--eval",
        SHAPES + "eval.json", "--eval-limit", "" + QUESTIONS, "--json");
    assertEquals(0, outcome.code(), outcome.err());
    JsonNode json = new ObjectMapper().readTree(outcome.out());
    assertEquals(to, json.get("to").asText());
    assertEquals(28, json.get("matrices").size());
    JsonNode matrix = json.at("/matrices/6");
    assertEquals("model.layers.0.mlp.down_proj [256,768]", matrix.get("layer").asText() + " " + matrix.get("shape"));
    assertTrue(matrix.get("weight_error").asDouble() > 0.01 && matrix.get("output_error").asDouble() < 0.08, matrix.toString());
    assertEquals(8, json.get("agreement_per_step").size());
    assertTrue(json.get("agreement").asDouble() > 0.85, json.toString());
    assertTrue(json.get("bytes_after").asLong() < 0.75 * json.get("bytes_before").asLong(), json.toString());
    JsonNode eval = json.get("eval");
    assertEquals(QUESTIONS == 0 ? 124 : QUESTIONS, eval.get("questions").asInt());
    assertTrue(eval.get("score_after").asDouble() >= eval.get("score_before").asDouble() - points, eval.toString());
    assertTrue(eval.get("right_before").asInt() >= eval.get("questions").asInt() * 0.9, eval.toString());

    JsonNode found = new ObjectMapper().readTree(dvl.runHere("inspect", out.toString(), "--json").out());
    assertTrue(found.get("complete").asBoolean() && found.at("/formats").has(format), found.toString());
    Outcome answer = dvl.run("generate", "--model", out.toString(), "--image", "samples/images/yellow-square.png", "--prompt",
        "What color is the square?", "--gen-length", "16");
    assertEquals("The square is yellow.", answer.out().strip(), answer.err());
  }

  /** As a person reads it, and without a model that is run. */
  @Test
  void aTableForPeople() {
    Outcome outcome = quantize("fp8", temp.resolve("small"), "--records", "0", "--include", "vision");
    assertEquals(0, outcome.code(), outcome.err());
    assertTrue(outcome.out().contains("model.layers.3.mlp.down_proj") && outcome.out().contains("unseen"), outcome.out());
    assertTrue(outcome.out().contains("vision_tower.vision_tower.blocks.0.attn.qkv"), outcome.out());
    assertTrue(outcome.out().strip().endsWith("bits per weight"), outcome.out());
    dvl.refusedHere(3, "small: is there already", "quantize", MODEL, "--to", "fp8", "--out", temp.resolve("small").toString());
    dvl.refusedHere(3, "config.json: quantization_config: quantised weights are small already", "quantize",
        temp.resolve("small").toString(), "--to", "int4", "--out", temp.resolve("smaller").toString());
    assertFalse(Files.exists(temp.resolve("smaller")));
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
      "2 | --to is 'int5', allowed are fp8 and int4 | --to int5",
      "2 | --group is 48, allowed is 32, 64 or 128 | --to int4 --group 48",
      "2 | --include is tail, allowed is head, vision or both | --to int4 --include head,tail",
      "2 | --records is -1, allowed is 0 or more | --to int4 --records -1",
      "2 | --eval-limit is -1 | --to int4 --eval-limit -1",
      "2 | --records 0 leaves out | --to int4 --records 0 --eval x",
      "2 | --dtype is 'f8' | --to int4 --dtype f8",
      "2 | --device | --to int4 --device abacus",
      "2 | --to | --group 32",
      "3 | tie_word_embeddings: the output matrix is the embedding matrix | --to int4 --include head",
      "3 | none.json: no such file | --to int4 --data none.json"})
  void whatCannotBe(int code, String mention, String options) {
    String[] all = ("quantize " + MODEL + " --out " + temp.resolve("out") + " " + options).split(" ");
    dvl.refusedHere(code, mention, all);
    assertFalse(Files.exists(temp.resolve("out")));
  }

  @Test
  void foldersThatCannotBe() throws IOException {
    dvl.refusedHere(3, "no such folder", "quantize", MODEL, "--to", "fp8", "--out", temp.resolve("a/b").toString());
    dvl.refusedHere(3, "nowhere", "quantize", temp.resolve("nowhere").toString(), "--to", "fp8", "--out", temp.resolve("o").toString());
    dvl.refusedHere(2, "MODEL", "quantize", "--to", "fp8", "--out", temp.resolve("o").toString());
    try (Stream<Path> left = Files.list(temp)) {
      assertEquals(List.of(), left.toList());
    }
  }

  /** A signal while the model runs, and one while files are written: nothing is left. */
  @Test
  void stoppedByASignal() throws Exception {
    Path work = Files.createDirectory(temp.resolve("work"));
    for (String at : List.of("watching the layers", "predicting")) {
      Process process = dvl.start("quantize", MODEL, "--to", "fp8", "--out", work.resolve("out").toString(), "--data",
          SHAPES + "train.json", "--images", SHAPES + "images");
      Path err = temp.resolve("stderr");
      for (int i = 0; !Files.readString(err).contains(at); i++) {
        assertTrue(i < 1200 && process.isAlive(), () -> "does not come to: " + at);
        Thread.sleep(100);
      }
      process.destroy();
      assertTrue(process.waitFor(60, TimeUnit.SECONDS), "does not end");
      assertTrue(process.exitValue() != 0 && Files.readString(err).contains("stopping, nothing is written"), Files.readString(err));
      try (Stream<Path> left = Files.list(work)) {
        assertEquals(List.of(), left.toList());
      }
    }
  }

  /** What somebody damages of what was written is named. */
  @Test
  void damagedOutputIsNamed() throws IOException {
    Path whole = temp.resolve("whole");
    assertEquals(0, quantize("int4", whole, "--records", "0").code());
    String layer = "layers.2.self_attn.k_proj";
    damaged(whole, layer + ".weight: weight_scale: missing", tensors -> tensors.remove(layer + ".weight_scale"));
    damaged(whole, layer + ".weight_scale: element 0 is NaN", tensors -> scale(tensors.get(layer + ".weight_scale"), Float.NaN));
    damaged(whole, layer + ".weight_scale: element 0 is 0.0", tensors -> scale(tensors.get(layer + ".weight_scale"), 0));
    damaged(whole, "weight_packed: shape [128, 16]", tensors -> tensors.put(layer + ".weight_packed",
        new Tensor(TensorType.I32, new long[] {128, 16}, new byte[128 * 64])));
    damaged(whole, layer + ".weight_packed: shape [128, 32]", tensors -> ByteBuffer.wrap(tensors.get(layer + ".weight_shape").data())
        .order(ByteOrder.LITTLE_ENDIAN).putLong(8, 264));
    Path other = copy(whole, TestCheckpoints.read(whole));
    Files.writeString(other.resolve("config.json"), Files.readString(other.resolve("config.json"))
        .replaceFirst("\"group_size\" : 32", "\"group_size\" : 64"));
    refused(other, "weight_scale: shape");
  }

  private void damaged(Path whole, String mention, Consumer<Map<String, Tensor>> damage) throws IOException {
    Map<String, Tensor> tensors = new LinkedHashMap<>(TestCheckpoints.read(whole));
    damage.accept(tensors);
    refused(copy(whole, tensors), mention);
  }

  private static void scale(Tensor scales, float value) {
    ByteBuffer.wrap(scales.data()).order(ByteOrder.LITTLE_ENDIAN).putShort(0, (short) (Float.floatToIntBits(value) >> 16));
  }

  private Path copy(Path whole, Map<String, Tensor> tensors) throws IOException {
    Path copy = Files.createTempDirectory(temp, "damaged");
    TestCheckpoints.writeModel(copy, whole, tensors, NamingScheme.DIFFUSION_VL, 1);
    return copy;
  }

  private void refused(Path model, String mention) {
    Outcome outcome = dvl.runHere("generate", "--model", model.toString(), "--prompt", "Hello!", "--gen-length", "8", "--device", DEVICE);
    assertEquals(3, outcome.code(), outcome.err());
    assertTrue(outcome.out().isEmpty() && outcome.err().lines().toList().getLast().contains(mention), outcome.err());
  }
}
