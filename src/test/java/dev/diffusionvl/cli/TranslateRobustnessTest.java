// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.cli.DvlProcess.Outcome;
import dev.diffusionvl.loader.NamingScheme;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.loader.TestCheckpoints;
import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import dev.diffusionvl.model.SigLipCheckpoint;
import dev.diffusionvl.train.BadRecordTest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.provider.Arguments;

/** What becomes of a training run that is killed, stopped, given bad data, or has no room left. */
class TranslateRobustnessTest {
  private static final int KILLS = Integer.getInteger("dvl.kills", 3);
  private static final List<String> RESULTS = List.of("train.jsonl", "skipped.jsonl", "model.safetensors", "config.json");

  @TempDir private static Path models;
  private static Path tiny;

  @TempDir private Path temp;
  private DvlProcess dvl;
  private Path data;

  @BeforeAll
  static void makeBase() {
    tiny = models.resolve("tiny");
    SigLipCheckpoint.write(tiny);
  }

  @BeforeEach
  void start() throws IOException {
    dvl = new DvlProcess(temp);
    List<String> records = new ArrayList<>(List.of("{\"id\": \"bad\"}"));
    for (int i = 0; i < 7; i++) {
      records.add(record("r" + i, "What is " + i + " plus 4?", "It is " + (i + 4) + "."));
    }
    data = Files.write(temp.resolve("data.jsonl"), records);
  }

  private static String record(String id, String question, String answer) {
    return """
        {"id": "%s", "conversations": [{"from": "human", "value": "%s"}, {"from": "gpt", "value": "%s"}]}""".formatted(
        id, question, answer);
  }

  private String[] translate(Path base, Path out, String... more) {
    return Stream.concat(Stream.of("translate", "--base", base.toString(), "--data", data.toString(), "--out", out.toString(), "--dtype",
        "f32", "--lr", "1e-3", "--train", "lm"), Arrays.stream(more)).toArray(String[]::new);
  }

  private static void same(Path expected, Path found) throws IOException {
    for (String file : RESULTS) {
      assertArrayEquals(Files.readAllBytes(expected.resolve(file)), Files.readAllBytes(found.resolve(file)), file);
    }
  }

  @Test
  void killedAtAnyMoment() throws Exception {
    String[] length = {"--steps", "40", "--save-every", "3", "--accumulate", "2"};
    Path whole = temp.resolve("whole");
    assertEquals(0, dvl.run(translate(tiny, whole, length)).code());
    Path out = temp.resolve("killed");
    String[] resume = translate(tiny, out, Stream.concat(Stream.of("--resume"), Arrays.stream(length)).toArray(String[]::new));
    Random random = new Random(Long.getLong("dvl.fuzz.seed", 1));
    int killed = 0;
    for (int i = 0; i < KILLS; i++) {
      Process process = dvl.start(resume);
      int lines = random.nextInt(30); // of the log, at which it is killed; while it still loads where an earlier one has got so far
      while (process.isAlive() && lines(out.resolve("train.jsonl")) <= lines) {
        Thread.sleep(random.nextInt(10));
      }
      killed += process.isAlive() ? 1 : 0;
      process.destroyForcibly().waitFor();
      assertTrue(List.of(0, 128 + 9).contains(process.exitValue()), () -> stderr());
    }
    assertTrue(killed > 0, "none of " + KILLS + " processes was killed");
    Outcome last = dvl.run(resume);
    assertEquals(0, last.code(), last.err());
    same(whole, out);
    try (Stream<Path> left = Files.list(out)) {
      assertEquals(List.of(), left.filter(file -> file.getFileName().toString().startsWith(".")).toList());
    }
  }

  private static int lines(Path file) throws IOException {
    return Files.exists(file) ? Files.readAllLines(file).size() : 0;
  }

  private String stderr() {
    try {
      return Files.readString(temp.resolve("stderr"));
    } catch (IOException e) {
      return e.toString();
    }
  }

  @Test
  void askedToStop() throws Exception {
    Path out = temp.resolve("out");
    String[] length = {"--steps", "60", "--accumulate", "2"};
    Process process = dvl.start(translate(tiny, out, length));
    for (int i = 0; i < 1200 && (Files.notExists(out.resolve("train.jsonl")) || Files.size(out.resolve("train.jsonl")) == 0); i++) {
      Thread.sleep(10);
    }
    process.destroy(); // SIGTERM
    assertTrue(process.waitFor(60, TimeUnit.SECONDS));
    assertEquals(128 + 15, process.exitValue(), stderr());
    assertTrue(stderr().contains("dvl: stopping behind the present step, with a snapshot"), stderr());
    assertTrue(stderr().matches("(?s).*dvl: stopped behind step \\d+ of 60; --resume goes on there.*"), stderr());
    assertTrue(Files.notExists(out.resolve("config.json")));
    Outcome rest = dvl.run(translate(tiny, out, "--steps", "60", "--accumulate", "2", "--resume"));
    assertEquals(0, rest.code(), rest.err());
    Path whole = temp.resolve("whole");
    assertEquals(0, dvl.run(translate(tiny, whole, length)).code());
    same(whole, out);
  }

  @Test
  void aFolderInUseAndOtherSettings() throws Exception {
    Path out = temp.resolve("out");
    String[] first = translate(tiny, out, "--steps", "2", "--save-every", "1");
    assertEquals(0, dvl.runHere(first).code());
    dvl.refusedHere(3, "is not empty: choose another folder, or go on with --resume", first);
    byte[] before = Files.readAllBytes(out.resolve("train.jsonl"));
    for (String[] other : new String[][] {{"--steps", "3", "--steps: the run had 2, now it is 3"},
        {"--seed", "7", "--seed: the run had 42, now it is 7"},
        {"--batch", "2", "--batch: the run had 1, now it is 2"}, {"--warmup", "0.5", "--warmup: the run had 0.03, now it is 0.5"},
        {"--block-size", "4", "--block-size: the run had 8, now it is 4"},
        {"--max-length", "64", "--max-length: the run had 1024, now it is 64"},
        {"--image-aspect-ratio", "pad", "--image-aspect-ratio: the run had anyres_max_4, now it is pad"},
        {"--lora", "4", "--lora: the run had none, now it is 4:8.0"},
        {"--optimizer", "adamw8bit", "--optimizer: the run had adamw, now it is"},
        {"--mask-token-id", "5", "--mask-token-id: the run had 1023, now it is 5"},
        {"--objective", "autoregressive", "--objective: the run had block-diffusion, now it is autoregressive"}}) {
      List<String> options = new ArrayList<>(List.of("--save-every", "1", "--resume", other[0], other[1]));
      if (!other[0].equals("--steps")) {
        options.addAll(List.of("--steps", "2"));
      }
      refused(other[2], translate(tiny, out, options.toArray(String[]::new)));
    }
    Files.writeString(data, Files.readString(data).replace("It is 5", "It is 6"));
    refused("--data: the run had 8 records, checksum ", translate(tiny, out, "--steps", "2", "--save-every", "1", "--resume"));
    Path otherBase = temp.resolve("other-base");
    Map<String, Tensor> tensors = TestCheckpoints.read(tiny);
    tensors.get("layers.1.mlp.up_proj.weight").data()[0] ^= 1;
    TestCheckpoints.writeModel(otherBase, tiny, tensors, NamingScheme.DIFFUSION_VL_SIGLIP, 1);
    refused("--base: the run had ", translate(otherBase, out, "--steps", "2", "--save-every", "1", "--resume"));
    assertArrayEquals(before, Files.readAllBytes(out.resolve("train.jsonl")));
  }

  /** Behind the plan of memory, which is on stdout. */
  private void refused(String mention, String... command) {
    Outcome outcome = dvl.runHere(command);
    assertEquals(3, outcome.code(), outcome.err());
    assertEquals(1, outcome.err().lines().count(), outcome.err());
    assertTrue(outcome.err().contains(mention), outcome.err());
  }

  @Test
  void numbersThatAreNone() throws Exception {
    Path broken = temp.resolve("broken");
    Map<String, Tensor> tensors = TestCheckpoints.read(tiny);
    byte[] norm = tensors.get("norm.weight").data();
    tensors.put("norm.weight", new Tensor(TensorType.BF16, new long[] {64}, norm.clone()));
    tensors.get("norm.weight").data()[0] = (byte) 0xc0; // 0x7fc0: no number
    tensors.get("norm.weight").data()[1] = 0x7f;
    TestCheckpoints.writeModel(broken, tiny, tensors, NamingScheme.DIFFUSION_VL_SIGLIP, 1);
    Path out = temp.resolve("out");
    Outcome outcome = dvl.runHere(translate(broken, out, "--steps", "2", "--save-every", "1", "--accumulate", "2"));
    assertEquals(3, outcome.code(), outcome.err());
    String last = outcome.err().lines().reduce((a, b) -> b).orElseThrow();
    assertTrue(last.matches("dvl: step 1: the loss is NaN and the gradient norm .*; records \\[r\\d, r\\d]"), last);
    assertNothingHalfWritten(out, 0);

    Path later = temp.resolve("later"); // a rate that no weights survive
    outcome = dvl.runHere("translate", "--base", tiny.toString(), "--data", data.toString(), "--out", later.toString(), "--dtype", "f32",
        "--lr", "1e30", "--warmup", "0", "--steps", "9", "--save-every", "1");
    assertEquals(3, outcome.code(), outcome.err());
    last = outcome.err().lines().reduce((a, b) -> b).orElseThrow();
    assertTrue(last.matches("dvl: step 2: the loss is .*; records \\[r\\d]"), last);
    assertNothingHalfWritten(later, 1);
  }

  private static void assertNothingHalfWritten(Path out, int steps) throws IOException {
    assertEquals(steps, Files.readAllLines(out.resolve("train.jsonl")).size());
    assertTrue(Files.notExists(out.resolve("config.json")) && Files.notExists(out.resolve("model.safetensors")));
    assertEquals(steps > 0, Files.exists(out.resolve("snapshot-" + steps + "/state.json")));
  }

  @Test
  void aDiskThatFillsUp() throws Exception {
    Path disk = Files.createDirectory(temp.resolve("disk"));
    String[] length = {"--steps", "6", "--save-every", "2"};
    Path whole = temp.resolve("whole");
    assertEquals(0, dvl.run(translate(tiny, whole, length)).code());
    long snapshot = Files.size(whole.resolve("snapshot-6/state.safetensors"));
    // room for one snapshot and most of a second one
    assumeTrue(command("mount", "-t", "tmpfs", "-o", "size=" + (snapshot * 7 / 4 >> 10) + "k", "tmpfs", disk.toString()) == 0,
        "a small disk needs the right to mount one");
    try {
      Path out = disk.resolve("out");
      Outcome full = dvl.run(translate(tiny, out, length));
      assertEquals(4, full.code(), full.err());
      String last = full.err().lines().reduce((a, b) -> b).orElseThrow();
      assertTrue(last.startsWith("dvl: " + out + "/") && last.endsWith(": cannot be written: No space left on device"), last);
      assertTrue(Files.exists(out.resolve("snapshot-2/state.json")) && Files.notExists(out.resolve("config.json")));
      assertEquals(0, command("mount", "-o", "remount,size=" + (snapshot * 8 >> 10) + "k", disk.toString()));
      Outcome rest = dvl.run(translate(tiny, out, "--steps", "6", "--save-every", "2", "--resume"));
      assertEquals(0, rest.code(), rest.err());
      assertTrue(rest.err().contains("going on behind step 2"), rest.err());
      same(whole, out);
    } finally {
      command("umount", disk.toString());
    }
  }

  private static int command(String... command) throws Exception {
    try {
      return new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD).start().waitFor();
    } catch (IOException e) {
      return -1; // there is no such program
    }
  }

  /** Every kind of bad record between good ones, by the command. */
  @Test
  void badRecordsAreNamed() throws Exception {
    BadRecordTest.writeImages(temp);
    List<Arguments> kinds = BadRecordTest.kinds();
    List<String> records = new ArrayList<>();
    for (int i = 0; i < kinds.size(); i++) {
      records.add(record("good" + i, "Hello!", "Hi!"));
      records.add((String) kinds.get(i).get()[1]);
    }
    Files.write(data, records);
    Path out = temp.resolve("out");
    Outcome outcome = dvl.runHere(translate(tiny, out, "--epochs", "1", "--batch", "8"));
    assertEquals(0, outcome.code(), outcome.err());
    List<String> lines = Files.readAllLines(out.resolve("skipped.jsonl"));
    assertTrue(kinds.size() > 30);
    assertEquals(kinds.size(), lines.size());
    assertEquals(kinds.size(), outcome.err().lines().filter(line -> line.startsWith("dvl: skipped " + data + ": record ")).count());
    for (String line : lines) {
      JsonNode json = new ObjectMapper().readTree(line);
      int number = json.get("record").asInt();
      Object[] kind = kinds.get(number / 2 - 1).get();
      assertEquals(((String) kind[2]).replace("record 2", "record " + number), json.get("id").asText());
      assertTrue(json.get("reason").asText().contains((String) kind[3]), line);
    }
    assertTrue(outcome.err().contains("dvl: " + kinds.size() + " of " + records.size() + " records were skipped; "
        + out.resolve("skipped.jsonl") + " says which and why"), outcome.err());
    refused(data + ": record ", translate(tiny, temp.resolve("strict"), "--epochs", "1", "--batch", "8", "--strict"));
  }
}
