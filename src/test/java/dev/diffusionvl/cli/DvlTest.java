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
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The command line as a user meets it: a process of its own, its exit code, stdout and stderr. */
class DvlTest {
  private static final String IMAGE = "samples/images/yellow-square.png";
  private static final String QUESTION = "What color is the square?";

  @TempDir private Path temp;

  private Outcome dvl(String... arguments) throws IOException, InterruptedException {
    return new DvlProcess(temp).run(arguments);
  }

  private Outcome refused(int code, String mention, String... arguments) throws IOException, InterruptedException {
    return new DvlProcess(temp).refused(code, mention, arguments);
  }

  @Test
  void printsTheAnswer() throws Exception {
    Outcome outcome = dvl("generate", "--image", IMAGE, "--prompt", QUESTION);
    assertEquals(0, outcome.code(), outcome.err());
    assertEquals("The square is yellow.", outcome.out().strip());
    assertEquals(1, outcome.err().lines().count(), outcome.err());
    assertTrue(outcome.err().contains("weights of 10.8 MB and a cache of 0.5 MB"), outcome.err());
  }

  @Test
  void jsonAndTrace() throws Exception {
    Path trace = temp.resolve("trace.jsonl");
    Outcome outcome = dvl("generate", "--image", IMAGE, "--prompt", QUESTION, "--json", "--trace", trace.toString(), "--remasking",
        "low_confidence_dynamic", "--gen-length", "32", "--dtype", "f32", "--compat", "--no-fused-store", "--device",
        "emulated");
    assertEquals(0, outcome.code(), outcome.err());
    JsonNode json = new ObjectMapper().readTree(outcome.out());
    assertEquals("The square is yellow.", json.get("text").asText());
    assertEquals(32, json.get("token_ids").size());
    assertEquals("eos", json.get("finish_reason").asText());
    assertEquals(112, json.get("prompt_tokens").asInt());
    assertEquals(64, json.get("image_tokens").asInt());
    assertEquals(5, json.get("generated_tokens").asInt());
    assertEquals(1, json.get("blocks").asInt());
    assertEquals(1, json.get("prefill_forwards").asInt());
    assertEquals(1, json.get("denoise_forwards").asInt());
    assertEquals(1, json.get("store_forwards").asInt());
    assertEquals(3, json.get("forwards").asInt());
    assertEquals(1, json.get("denoise_steps").asInt());
    assertEquals(8, json.get("commits_per_forward").asDouble());
    assertEquals("emulated", json.get("device").asText());
    assertEquals("f32", json.get("dtype").asText());
    assertTrue(json.get("timings_ms").get("decode").asDouble() > 0);
    assertTrue(json.get("tokens_per_second").asDouble() > 0);
    List<String> lines = Files.readAllLines(trace);
    assertEquals(1, lines.size());
    JsonNode step = new ObjectMapper().readTree(lines.getFirst());
    assertEquals(14, step.get("block").asInt());
    assertEquals(0, step.get("step").asInt());
    assertEquals(8, step.get("committed").size());
    assertEquals(112, step.get("committed").get(0).get("position").asInt());
  }

  @Test
  void fewerForwardsForTheSameTokens() throws Exception {
    String[] plain = {"generate", "--prompt", "What colour is the square?", "--gen-length", "16", "--json", "--device", "emulated",
        "--dtype", "f32"};
    JsonNode one = json(plain);
    JsonNode drafts = json(plain, "--speculate", "7", "--no-graph");
    assertEquals(one.get("token_ids"), drafts.get("token_ids"));
    for (JsonNode json : List.of(one, drafts)) { // the prompt and each finished block ride with a denoising pass
      assertEquals(0, json.get("prefill_forwards").asInt());
      assertEquals(0, json.get("store_forwards").asInt());
      assertEquals(json.get("denoise_forwards"), json.get("forwards"));
      assertEquals(one.get("denoise_steps"), json.get("denoise_steps"));
    }
    assertEquals(one.get("denoise_steps"), one.get("forwards"));
    assertTrue(drafts.get("forwards").asInt() < one.get("forwards").asInt(), drafts.toString());
    assertTrue(drafts.get("commits_per_forward").asDouble() > 1, drafts.toString());

    Outcome drawn = dvl("generate", "--prompt", "Hello!", "--gen-length", "1", "--temperature", "1", "--speculate", "7");
    assertEquals(0, drawn.code());
    assertTrue(drawn.err().contains("--speculate has no effect"), drawn.err());
  }

  @Test
  void answersInF16() throws Exception {
    JsonNode json = json(new String[] {"generate", "--image", IMAGE, "--prompt", QUESTION, "--json", "--dtype", "f16", "--device",
        "emulated"});
    assertEquals("f16", json.get("dtype").asText());
    assertEquals("The square is yellow.", json.get("text").asText());
    Outcome wrong = dvl("generate", "--prompt", QUESTION, "--dtype", "fp16");
    assertEquals(2, wrong.code());
    assertTrue(wrong.err().contains("--dtype is 'fp16', allowed are bf16, f16 and f32"), wrong.err());
  }

  private JsonNode json(String[] command, String... more) throws Exception {
    Outcome outcome = dvl(Stream.concat(Arrays.stream(command), Arrays.stream(more)).toArray(String[]::new));
    assertEquals(0, outcome.code(), outcome.err());
    return new ObjectMapper().readTree(outcome.out());
  }

  @Test
  void inspects() throws Exception {
    Outcome outcome = dvl("inspect", DvlProcess.MODEL.toString(), "--json");
    assertEquals(0, outcome.code(), outcome.err());
    JsonNode json = new ObjectMapper().readTree(outcome.out());
    assertEquals("diffusionvl-qwenvl", json.get("family").asText());
    assertEquals("D", json.get("scheme").asText());
    assertTrue(json.get("diffusion").asBoolean());
    assertTrue(json.get("complete").asBoolean());
    assertEquals("BF16", json.get("dtype").asText().toUpperCase());
    assertEquals(json.get("bytes").asLong(), 2 * json.get("parameters").asLong());
    refused(3, "no-such-model", "inspect", "no-such-model");
  }

  @Test
  void usageErrors() throws Exception {
    refused(2, "--prompt", "generate", "--image", IMAGE);
    refused(2, "--steps", "generate", "--prompt", "Hello!", "--steps", "many");
    refused(2, "steps", "generate", "--prompt", "Hello!", "--steps", "0");
    refused(2, "--kv is 'int4', allowed are auto and fp8", "generate", "--prompt", "Hello!", "--kv", "int4");
    refused(2, "--kv fp8 goes with dtype bf16 and f16, not with f32", "generate", "--prompt", "Hello!", "--kv", "fp8", "--dtype", "f32");
    refused(2, "--gemm is 'mine', allowed are own, cublas and auto", "generate", "--prompt", "Hello!", "--gemm", "mine");
    refused(2, "--device", "generate", "--prompt", "Hello!", "--device", "tpu");
    refused(2, "--speculate is 8, allowed is 0 to 7", "generate", "--prompt", "Hello!", "--speculate", "8");
  }

  @Test
  void answersInAGivenForm() throws Exception {
    Path schema = Files.writeString(temp.resolve("schema.json"), "{\"type\":\"object\",\"properties\":{\"colour\":{\"enum\":[\"red\","
        + "\"yellow\"]},\"corners\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":9}},\"required\":[\"colour\",\"corners\"]}");
    Outcome outcome = dvl("generate", "--image", IMAGE, "--prompt", QUESTION, "--json-schema", schema.toString(), "--gen-length", "32");
    assertEquals(0, outcome.code(), outcome.err());
    assertTrue(outcome.out().strip().matches("\\{\"colour\":\"(red|yellow)\",\"corners\":[0-9]}"), outcome.out());
    assertTrue(dvl("generate", "--prompt", QUESTION, "--regex", "[A-Z]{2}-\\d{2}", "--gen-length", "16").out().strip()
        .matches("[A-Z]{2}-\\d{2}"));
    JsonNode json = json(new String[] {"generate", "--image", IMAGE, "--prompt", QUESTION, "--json"}, "--choices", "red,yellow,blue",
        "--gen-length", "16");
    assertTrue(List.of("red", "yellow", "blue").contains(json.get("text").asText()));
    assertEquals(3, json.get("choices").size());
    assertTrue(json.at("/choices/0/log_probability").asDouble() < 0 && json.at("/choices/0/probability").asDouble() > 0);
    assertEquals(16, json.get("log_probabilities").size());
    Outcome cut = dvl("generate", "--prompt", QUESTION, "--regex", "a{9}b{9}", "--gen-length", "2");
    assertEquals(0, cut.code());
    assertTrue(cut.err().contains("the answer is cut"), cut.err());
  }

  @Test
  void refusesFormsByTheirOptionOrFile() throws Exception {
    refused(2, "--regex: regular expression (: missing )", "generate", "--prompt", "Hello!", "--regex", "(");
    refused(2, "--choices: choices: expected", "generate", "--prompt", "Hello!", "--choices", "a,,b");
    refused(2, "exclude each other", "generate", "--prompt", "Hello!", "--choices", "a,b", "--regex", "a");
    refused(2, "--compat", "generate", "--prompt", "Hello!", "--choices", "a,b", "--compat");
    refused(3, "no-such-schema.json", "generate", "--prompt", "Hello!", "--json-schema", "no-such-schema.json");
    Path schema = Files.writeString(temp.resolve("multiple.json"), "{\"type\":\"integer\",\"multipleOf\":3}");
    refused(3, "multiple.json: JSON schema: the keyword multipleOf is not supported", "generate", "--prompt", "Hello!", "--json-schema",
        schema.toString());
    Path broken = Files.writeString(temp.resolve("broken.json"), "{\"type\":");
    refused(3, "broken.json: not valid JSON", "generate", "--prompt", "Hello!", "--json-schema", broken.toString());
  }

  @Test
  void missingAndBrokenFiles() throws Exception {
    refused(3, "no-such-image.png", "generate", "--image", "no-such-image.png", "--prompt", QUESTION);
    refused(3, "no-such-model", "generate", "--model", "no-such-model", "--prompt", "Hello!");
    Path text = Files.writeString(temp.resolve("text.png"), "this is no picture");
    refused(3, "text.png", "generate", "--image", text.toString(), "--prompt", QUESTION);
    Path uniforms = Files.writeString(temp.resolve("uniforms.json"), "{\"uniforms\": [[0.5, 2]]}");
    refused(3, "uniforms[0][1]", "generate", "--prompt", "Hello!", "--uniforms", uniforms.toString());
  }

  @Test
  void promptOverTheLimit() throws Exception {
    Outcome outcome = refused(3, "1024", "generate", "--prompt", "Hello! ".repeat(600));
    assertTrue(outcome.err().contains("tokenizer_model_max_length"), outcome.err());
    refused(3, "max_position_embeddings", "generate", "--prompt", "Hello!", "--gen-length", "5000");
  }
}
