// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.model.GoldenCase;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class TokenizerTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Tokenizer TINY = Tokenizer.load(GoldenCase.MODEL);

  @TempDir
  private Path folder;

  static List<GoldenCase> goldenCases() {
    return GoldenCase.all();
  }

  @ParameterizedTest
  @MethodSource("goldenCases")
  void goldenAnswersDecodeToTheirText(GoldenCase golden) {
    int eos = TINY.addedTokenId("<|im_end|>").orElseThrow();
    JsonNode expected = golden.json().get("expected");
    int[] ids = JSON.convertValue(expected.get("token_ids"), int[].class);
    int[] answer = IntStream.of(ids).takeWhile(id -> id != eos).toArray();
    assertEquals(expected.get("text").asText(), TINY.decode(answer));
  }

  @ParameterizedTest
  @ValueSource(strings = {
    "", " ", "\n", "Hello, world!", "I'll we'RE 'S", "  two  spaces   ", "a\r\n\r\n b\t\tc \n ", "12345 3.14",
    "naïve café", "日本語のテキスト", "👩‍👩‍👧 family 🏳️‍🌈", "\u00A0\u2003\u3000wide", "if (x >= 10) { return y; }",
    "\u0000\u0001", "नमस्ते"
  })
  void everyTextComesBack(String text) {
    assertEquals(text, TINY.decode(TINY.encode(text)));
  }

  @Test
  void composedAndDecomposedTextGiveTheSameTokens() {
    assertArrayEquals(TINY.encode("caf\u00E9"), TINY.encode("cafe\u0301"));
  }

  @Test
  void addedTokensAreFoundAnywhereButPartsOfThemAreText() {
    int end = TINY.addedTokenId("<|im_end|>").orElseThrow();
    int[] ids = TINY.encode("a<|im_end|><|im_end|>b");
    assertEquals(2, IntStream.of(ids).filter(id -> id == end).count());
    assertEquals(end, ids[1]);
    assertEquals("ab", TINY.decode(ids));
    assertEquals("<|im_end", TINY.decode(TINY.encode("<|im_end")));
    // NFC would make one character of ">" and the stroke, and so hide the token
    assertEquals(end, TINY.encode("<|im_end|>\u0338")[0]);
  }

  @Test
  void loneSurrogatesBecomeTheReplacementCharacter() {
    assertEquals("a\uFFFDb😀", TINY.decode(TINY.encode("a\uD83Db😀")));
  }

  @Test
  void idsWithoutTextAreSkipped() {
    int[] hello = TINY.encode("Hello");
    int[] strange = IntStream.concat(IntStream.of(-1, 1023, 5000, Integer.MAX_VALUE, Integer.MIN_VALUE, -200),
        IntStream.of(hello)).toArray();
    assertEquals("Hello", TINY.decode(strange));
  }

  @Test
  void theStreamGivesOnlyWholeCharactersAndTheSameText() {
    String text = "né 日本 👩‍👩‍👧 done";
    int[] ids = TINY.encode(text);
    assertTrue(ids.length > text.length(), "the tiny vocabulary must cut these characters into bytes");
    StreamDecoder stream = TINY.newStreamDecoder();
    StringBuilder out = new StringBuilder();
    for (int id : ids) {
      String piece = stream.accept(id);
      assertEquals(-1, piece.indexOf('\uFFFD'), piece);
      assertEquals(0, piece.codePoints().filter(c -> Character.getType(c) == Character.SURROGATE).count());
      out.append(piece);
    }
    assertEquals("", stream.finish());
    assertEquals(text, out.toString());
  }

  @Test
  void randomIdsStreamToTheDecodedText() {
    Random random = new Random(3);
    for (int round = 0; round < 500; round++) {
      int[] ids = random.ints(20, 0, 1030).toArray();
      StreamDecoder stream = TINY.newStreamDecoder();
      StringBuilder out = new StringBuilder();
      IntStream.of(ids).forEach(id -> out.append(stream.accept(id)));
      assertEquals(TINY.decode(ids), out.append(stream.finish()).toString());
    }
  }

  @Test
  void anUnfinishedCharacterEndsAsOneReplacement() {
    int[] ids = TINY.encode("日");
    assertEquals(3, ids.length, "one token a byte, else this test shows nothing");
    StreamDecoder stream = TINY.newStreamDecoder();
    assertEquals("", stream.accept(ids[0]) + stream.accept(ids[1]));
    assertEquals("\uFFFD", stream.finish());
    assertEquals("", stream.finish());
  }

  @Test
  void longTextsTakeNearlyLinearTime() {
    String letters = "abcdefghij".repeat(40_000);
    String spaces = " ".repeat(400_000) + "x";
    Assertions.assertTimeout(Duration.ofSeconds(20), () -> {
      assertEquals(letters, TINY.decode(TINY.encode(letters)));
      assertEquals(spaces, TINY.decode(TINY.encode(spaces)));
    });
  }

  @Test
  void vocabAndMergesFilesGiveTheSameTokens() throws IOException {
    for (String name : new String[] {"vocab.json", "merges.txt", "tokenizer_config.json"}) {
      Files.copy(GoldenCase.MODEL.resolve(name), folder.resolve(name));
    }
    assertSameAsTiny(Tokenizer.load(folder));
    Files.delete(folder.resolve("tokenizer_config.json"));
    for (String name : new String[] {"added_tokens.json", "special_tokens_map.json"}) {
      Files.copy(GoldenCase.MODEL.resolve(name), folder.resolve(name));
    }
    assertSameAsTiny(Tokenizer.load(folder));
  }

  @Test
  void mergesMayBePairs() throws IOException {
    assertSameAsTiny(changed(tokenizer -> {
      ArrayNode merges = (ArrayNode) tokenizer.at("/model/merges");
      for (int i = 0; i < merges.size(); i++) {
        String[] parts = merges.get(i).asText().split(" ");
        merges.set(i, JSON.createArrayNode().add(parts[0]).add(parts[1]));
      }
    }));
  }

  private static void assertSameAsTiny(Tokenizer tokenizer) {
    String text = "<|im_start|>user\nDescribe   this image's 2 squares.\n\n<|im_end|> caf\u00E9";
    int[] ids = TINY.encode(text);
    assertArrayEquals(ids, tokenizer.encode(text));
    assertEquals(TINY.decode(ids), tokenizer.decode(ids));
  }

  @Test
  void brokenFilesAreRefusedByFieldName() {
    refused("model.type", t -> model(t).put("type", "Unigram"));
    refused("model.vocab", t -> model(t).putArray("vocab"));
    refused("vocabulary", t -> model(t).remove("vocab"));
    refused("model.vocab.he", t -> ((ObjectNode) t.at("/model/vocab")).put("he", "7"));
    refused("model.vocab.he", t -> ((ObjectNode) t.at("/model/vocab")).put("he", 1L << 40));
    refused("model.vocab.he", t -> ((ObjectNode) t.at("/model/vocab")).put("he", -1));
    refused("model.vocab.he", t -> ((ObjectNode) t.at("/model/vocab")).put("he", Integer.MAX_VALUE));
    refused("another", t -> ((ObjectNode) t.at("/model/vocab")).put("another", 1));
    refused("byte 65", t -> ((ObjectNode) t.at("/model/vocab")).remove("A"));
    refused("model.merges", t -> model(t).putNull("merges"));
    refused("model.merges[0]", t -> ((ArrayNode) t.at("/model/merges")).set(0, JSON.createArrayNode().add("a")));
    refused("merges[0]", t -> ((ArrayNode) t.at("/model/merges")).set(0, JSON.getNodeFactory().textNode("ab")));
    refused("merges[0]", t -> ((ArrayNode) t.at("/model/merges")).set(0, JSON.getNodeFactory().textNode("q zzz")));
    refused("model.ignore_merges", t -> model(t).put("ignore_merges", true));
    refused("pre_tokenizer", t -> ((ObjectNode) t.at("/pre_tokenizer/pretokenizers/0/pattern")).put("Regex", "\\w+"));
    refused("added_tokens[0]: content", t -> ((ObjectNode) t.at("/added_tokens/0")).put("content", 5));
    refused("added_tokens[0]: content", t -> ((ObjectNode) t.at("/added_tokens/0")).put("content", ""));
    refused("added_tokens[0].id", t -> ((ObjectNode) t.at("/added_tokens/0")).remove("id"));
    refused("added_tokens[0]: lstrip", t -> ((ObjectNode) t.at("/added_tokens/0")).put("lstrip", true));
    refused("added_tokens", t -> t.put("added_tokens", "none"));
  }

  @ParameterizedTest
  @ValueSource(strings = {
    "[]", "", "{", "5", "null", "{} {}", "{\"model\": []}", "\u0000", "{\"model\": {\"vocab\": {\"a\": 1}}"
  })
  void filesThatAreNoTokenizerAreRefused(String content) throws IOException {
    Files.writeString(folder.resolve("tokenizer.json"), content);
    assertOneLine("tokenizer.json", assertThrows(BadInputException.class, () -> Tokenizer.load(folder)));
  }

  @Test
  void missingFilesAreNamed() throws IOException {
    assertOneLine("tokenizer.json", assertThrows(BadInputException.class, () -> Tokenizer.load(folder)));
    Files.copy(GoldenCase.MODEL.resolve("vocab.json"), folder.resolve("vocab.json"));
    assertOneLine("merges.txt", assertThrows(BadInputException.class, () -> Tokenizer.load(folder)));
    Files.writeString(folder.resolve("merges.txt"), "#version: 0.2\nnospace\n");
    assertOneLine("merges.txt: merges[0]", assertThrows(BadInputException.class, () -> Tokenizer.load(folder)));
    Files.createDirectory(folder.resolve("tokenizer.json"));
    assertOneLine("tokenizer.json", assertThrows(BadInputException.class, () -> Tokenizer.load(folder)));
  }

  private void refused(String field, Consumer<ObjectNode> change) {
    assertOneLine(field, assertThrows(BadInputException.class, () -> changed(change), field));
  }

  private static void assertOneLine(String part, BadInputException e) {
    assertTrue(e.getMessage().contains(part), e.getMessage());
    assertEquals(1, e.getMessage().lines().count(), e.getMessage());
  }

  private Tokenizer changed(Consumer<ObjectNode> change) throws IOException {
    ObjectNode tokenizer = (ObjectNode) JSON.readTree(GoldenCase.MODEL.resolve("tokenizer.json").toFile());
    change.accept(tokenizer);
    JSON.writeValue(folder.resolve("tokenizer.json").toFile(), tokenizer);
    return Tokenizer.load(folder);
  }

  private static ObjectNode model(ObjectNode tokenizer) {
    return (ObjectNode) tokenizer.get("model");
  }
}
