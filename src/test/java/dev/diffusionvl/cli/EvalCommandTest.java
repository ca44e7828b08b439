// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.cli.DvlProcess.Outcome;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code dvl eval} with a model, and {@code dvl translate --eval}: what is asked, and what is refused before anything is loaded. */
class EvalCommandTest {
  private static final String MODEL = DvlProcess.MODEL.toString();
  private static final String SHAPES = "samples/data/shapes/eval.json";

  @TempDir private Path temp;

  private void refused(int code, String mention, String... arguments) {
    new DvlProcess(temp).refusedHere(code, mention, arguments);
  }

  @Test
  void asksAndCounts() throws Exception {
    Path data = Files.writeString(temp.resolve("data.json"), """
        [{"id": "right", "image": "yellow-square.png", "conversations": [
           {"from": "human", "value": "<image>\\nWhat color is the square?"}, {"from": "gpt", "value": "The square is yellow. "}]},
         {"id": 2, "conversations": [{"from": "human", "value": "Hello!"}, {"from": "gpt", "value": "Good night."}]},
         {"id": "beyond the limit", "image": "none.png", "conversations": [
           {"from": "human", "value": "<image>\\nWhat?"}, {"from": "gpt", "value": "Nothing."}]}]
        """);
    Outcome outcome = new DvlProcess(temp).run("eval", "--task", "exact", "--model", MODEL, "--data", data.toString(), "--images",
        "samples/images", "--limit", "2", "--gen-length", "32", "--json");
    assertEquals(0, outcome.code(), outcome.err());
    JsonNode json = new ObjectMapper().readTree(outcome.out());
    assertEquals("exact 0.5 1", json.get("task").asText() + " " + json.get("score").asText() + " " + json.get("right").asText());
    JsonNode right = json.get("samples").get(0);
    assertEquals("right", right.get("id").asText());
    assertEquals("The square is yellow.", right.get("answer").asText());
    assertEquals(1, right.get("score").asInt());
    assertTrue(right.get("forwards").asInt() >= 8, right.toString());
    JsonNode wrong = json.get("samples").get(1);
    assertEquals("2 Good night. 0.0", wrong.get("id").asText() + " " + wrong.get("gold").asText() + " " + wrong.get("score").asText());
  }

  @Test
  void badQuestionsAreRefusedBeforeTheModelIsLoaded() throws IOException {
    Path data = Files.writeString(temp.resolve("data.jsonl"), """
        {"id": "q7", "image": "../secret.png", "conversations": [{"from": "human", "value": "<image>\\nWhat?"}, \
        {"from": "gpt", "value": "A."}]}
        """);
    refused(3, "record q7: image: '../secret.png' leads out of the folder", "eval", "--task", "exact", "--model", MODEL, "--data",
        data.toString());
    Files.writeString(data, "{\"id\": \"q8\", \"conversations\": [{\"from\": \"human\", \"value\": \"What?\"}]}\n");
    refused(3, "record 1 (id q8)", "eval", "--task", "exact", "--model", MODEL, "--data", data.toString());
    refused(3, "no such file", "eval", "--task", "exact", "--model", MODEL, "--data", temp.resolve("absent.json").toString());
    assertTrue(Files.notExists(temp.resolve("out")));
  }

  @Test
  void usage() {
    refused(2, "--rescore, or --model and --data", "eval", "--task", "exact");
    refused(2, "--rescore, or --model and --data", "eval", "--task", "exact", "--model", MODEL);
    refused(2, "--rescore, or --model and --data", "eval", "--task", "exact", "--model", MODEL, "--data", SHAPES, "--rescore", SHAPES);
    refused(2, "--task is 'vqa', allowed are chartqa", "eval", "--task", "vqa", "--model", MODEL, "--data", SHAPES);
    refused(3, "its name ends in none of .parquet, .tsv and .jsonl", "eval", "--task", "chartqa", "--model", MODEL, "--data", SHAPES);
    refused(2, "named twice", "eval", MODEL, "--task", "exact", "--model", MODEL, "--data", SHAPES);
    for (String shard : new String[] {"3/2", "1", "1/0", "-1/2", "x/2", "1/99999999999"}) {
      refused(2, "--shard is '" + shard + "'", "eval", MODEL, "--task", "exact", "--data", SHAPES, "--shard", shard);
    }
    refused(2, "--slots is 0", "eval", MODEL, "--task", "exact", "--data", SHAPES, "--slots", "0");
    refused(2, "--slots is 65", "eval", MODEL, "--task", "exact", "--data", SHAPES, "--slots", "65");
    refused(2, "--limit", "eval", "--task", "exact", "--model", MODEL, "--data", SHAPES, "--limit", "-1");
    refused(2, "--gen-length", "eval", "--task", "exact", "--model", MODEL, "--data", SHAPES, "--gen-length", "-1");
    refused(2, "--device", "eval", "--task", "exact", "--model", MODEL, "--data", SHAPES, "--device", "abacus");
    String[] run = {"translate", "--base", MODEL, "--data", SHAPES, "--out", temp.resolve("out").toString(), "--eval", SHAPES};
    refused(2, "--eval-every", with(run, "--eval-every", "0"));
    refused(2, "--eval-limit", with(run, "--eval-limit", "-1"));
    refused(2, "--objective autoregressive", with(run, "--objective", "autoregressive"));
  }

  private static String[] with(String[] arguments, String option, String value) {
    String[] all = Arrays.copyOf(arguments, arguments.length + 2);
    all[arguments.length] = option;
    all[arguments.length + 1] = value;
    return all;
  }
}
