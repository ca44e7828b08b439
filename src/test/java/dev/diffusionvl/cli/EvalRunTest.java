// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.cli.DvlProcess.Outcome;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code dvl eval} that asks the demo model: what it writes, and how it goes on where another process was killed. */
class EvalRunTest {
  private static final String BENCHMARKS = "src/test/resources/benchmarks/";
  private static final String[] SHAPES = {"--data", "samples/data/shapes/eval.json", "--images", "samples/data/shapes/images",
      "--gen-length", "8", "--limit", "7"};
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir private Path temp;

  private static String[] eval(String task, Path out, String... more) {
    List<String> all = new ArrayList<>(List.of("eval", DvlProcess.MODEL.toString(), "--task", task, "--device", "emulated", "--dtype",
        "f32", "--json"));
    if (out != null) {
      all.addAll(List.of("--out", out.toString()));
    }
    all.addAll(Arrays.asList(more));
    return all.toArray(String[]::new);
  }

  private static String[] and(String[] first, String... more) {
    String[] all = Arrays.copyOf(first, first.length + more.length);
    System.arraycopy(more, 0, all, first.length, more.length);
    return all;
  }

  private JsonNode run(String... arguments) throws Exception {
    Outcome outcome = new DvlProcess(temp).runHere(arguments);
    assertEquals(0, outcome.code(), outcome.err());
    return JSON.readTree(outcome.out());
  }

  /** Killed in the middle, with a line cut in two, and finished with several slots: the result is that of one undisturbed process. */
  @Test
  void killedAndGoneOnWith() throws Exception {
    Path whole = temp.resolve("whole");
    run(eval("exact", whole, SHAPES));
    List<String> answers = Files.readAllLines(whole.resolve("samples.jsonl"));
    assertEquals(7, answers.size());

    Path killed = temp.resolve("killed");
    Path log = killed.resolve("samples.jsonl");
    Process process = new DvlProcess(temp).start(eval("exact", killed, SHAPES));
    for (long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60); !Files.exists(log) || Files.size(log) == 0; Thread.sleep(2)) {
      assertTrue(System.nanoTime() < end && process.isAlive(), () -> "nothing was asked");
    }
    process.destroyForcibly().waitFor();
    int before = Files.readAllLines(log).size();
    assertTrue(before < 7, "it was killed too late");
    assertFalse(Files.exists(killed.resolve("result.json")));
    if (before > 1) { // as if the last line had been written in part
      try (FileChannel channel = FileChannel.open(log, StandardOpenOption.WRITE)) {
        channel.truncate(channel.size() - 5);
      }
    }
    String kept = Files.readString(log);
    kept = kept.substring(0, kept.lastIndexOf('\n') + 1);
    Outcome outcome = new DvlProcess(temp).runHere(and(eval("exact", killed, SHAPES), "--slots", "3"));
    assertEquals(0, outcome.code(), outcome.err());
    assertTrue(Files.readString(log).startsWith(kept), "what was answered is not asked again");
    assertTrue(outcome.err().contains(kept.lines().count() + " of 7 were answered before"), outcome.err());
    assertEquals(withoutTimes(answers), withoutTimes(Files.readAllLines(log)));
    assertEquals(Files.readString(whole.resolve("result.json")), Files.readString(killed.resolve("result.json")));
    assertEquals(Files.readString(whole.resolve("result.md")), Files.readString(killed.resolve("result.md")));
    assertEquals(Files.readString(whole.resolve("run.json")), Files.readString(killed.resolve("run.json")));

    // all is answered: nothing is loaded, and the log is a file that can be rescored
    assertTrue(new DvlProcess(temp).runHere(and(eval("exact", killed, SHAPES), "--slots", "2")).err().isEmpty());
    JsonNode rescored = run("eval", "--task", "exact", "--rescore", log.toString(), "--json");
    assertEquals(JSON.readTree(Files.readString(whole.resolve("result.json"))).get("score"), rescored.get("score"));
    assertEquals(JSON.readTree(Files.readString(whole.resolve("result.json"))).get("samples"), rescored.get("samples"));

    // another run's answers are not mixed in
    new DvlProcess(temp).refusedHere(3, "decoding was Block[size=0, steps=8", and(eval("exact", killed, SHAPES), "--steps", "4"));
    Files.writeString(log, "{\"id\": 1}\n", StandardOpenOption.APPEND);
    new DvlProcess(temp).refusedHere(3, "line 8: is no answer", eval("exact", killed, SHAPES));
  }

  @Test
  void whatCannotBeAskedLeavesNothing() throws Exception {
    Path data = Files.writeString(temp.resolve("own.jsonl"), "{\"question\": \"What?\", \"answer\": \"x\", \"image\": \"none.png\"}\n");
    Path out = Files.createDirectory(temp.resolve("empty"));
    new DvlProcess(temp).refusedHere(3, "record 0: ", eval("exact", out, "--data", data.toString()));
    try (var left = Files.list(out)) {
      assertEquals(0, left.count());
    }
    Files.writeString(temp.resolve("file"), "");
    new DvlProcess(temp).refusedHere(3, "cannot be written", eval("exact", temp.resolve("file"), SHAPES));
  }

  private static List<String> withoutTimes(List<String> lines) {
    return lines.stream().map(line -> line.replaceAll(",\"ms\":[0-9.E]+", "")).toList();
  }

  @Test
  void shardsAreTheWhole() throws Exception {
    Path whole = temp.resolve("whole");
    run(eval("mme", whole, "--data", BENCHMARKS + "mme", "--gen-length", "8"));
    List<String> lines = new ArrayList<>();
    for (int shard = 1; shard <= 2; shard++) {
      Path part = temp.resolve("part" + shard);
      JsonNode result = run(eval("mme", part, "--data", BENCHMARKS + "mme", "--gen-length", "8", "--shard", shard + "/2"));
      assertEquals(shard == 1 ? 2 : 1, result.get("asked").asInt());
      lines.addAll(Files.readAllLines(part.resolve("samples.jsonl")));
    }
    lines.sort(null);
    List<String> all = Files.readAllLines(whole.resolve("samples.jsonl"));
    all.sort(null);
    assertEquals(withoutTimes(all), withoutTimes(lines));
    JsonNode result = JSON.readTree(Files.readString(whole.resolve("result.json")));
    assertEquals(1, result.get("not_counted").asInt(), "the third question's other half is not there");
    assertTrue(result.has("perception"));
    assertEquals(3, result.get("samples").size());
    String table = Files.readString(whole.resolve("result.md"));
    assertTrue(table.lines().anyMatch(line -> line.matches("\\| perception \\| [0-9.]+ \\|( – \\|){5} 1457 \\| 1479 \\|")), table);
    assertTrue(table.lines().anyMatch(line -> line.matches("\\| score \\| [0-9.]+ \\|( – \\|){7}")), table);
  }

  @Test
  void progressSaysWhatIsRightAndLeft() {
    ByteArrayOutputStream shown = new ByteArrayOutputStream();
    ObjectNode right = JSON.createObjectNode().put("score", 1.0);
    EvalProgress progress = new EvalProgress(new PrintStream(shown), List.of(right, JSON.createObjectNode().put("score", 0.0)), 18);
    assertEquals("dvl: 2 of 20 were answered before", shown.toString().strip());
    for (int i = 0; i < 8; i++) {
      progress.accept(right);
    }
    assertEquals("[###############...............] 10 of 20, 90.0 % right, 15.00 s each, 3 min left", progress.line(120));
    assertEquals(5, shown.toString().lines().count(), "a line each tenth: " + shown);
  }

  @Test
  void parquetTsvAndJsonLines() throws Exception {
    JsonNode parquet = run(eval("mmbench_en_dev", null, "--data", BENCHMARKS + "mmbench", "--gen-length", "8"));
    JsonNode tsv = run(eval("mmbench", null, "--data", BENCHMARKS + "MMBench_DEV_EN.tsv", "--gen-length", "8"));
    assertEquals(2, parquet.get("samples").size());
    for (int i = 0; i < 2; i++) {
      JsonNode sample = parquet.get("samples").get(i);
      for (String field : new String[] {"id", "prompt", "answer", "raw_text", "gold", "options", "score", "forwards", "tokens"}) {
        assertEquals(sample.get(field), tsv.get("samples").get(i).get(field), field);
      }
      assertTrue(sample.get("ms").asDouble() > 0);
    }
    Path out = temp.resolve("own");
    Path data = Files.writeString(temp.resolve("own.jsonl"), """
        {"id": "a", "question": "What color is the square?", "answer": "The square is yellow.", "image": "yellow-square.png"}
        {"id": "b", "question": "What color is the square?", "answer": "yellow", "image": "yellow-square.png"}
        """);
    JsonNode own = run(eval("exact", out, "--data", data.toString(), "--images", "samples/images", "--gen-length", "32"));
    assertEquals("0.5 1 2", own.get("score").asText() + " " + own.get("right").asText() + " " + own.get("asked").asText());
    assertTrue(Files.readString(out.resolve("result.md")).contains("| score, % | 50.0 |"), Files.readString(out.resolve("result.md")));
  }
}
