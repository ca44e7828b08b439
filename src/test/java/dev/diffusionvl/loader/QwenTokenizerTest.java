// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The tokenizer of the released models against the answers of Hugging Face's tokenizers library. */
class QwenTokenizerTest {
  private static final Path FILES = Path.of("src/test/resources/qwen2.5");
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir
  private static Path folder;
  private static Tokenizer qwen;

  @BeforeAll
  static void unpack() throws IOException {
    try (InputStream in = new GZIPInputStream(Files.newInputStream(FILES.resolve("tokenizer.json.gz")))) {
      Files.copy(in, folder.resolve("tokenizer.json"));
    }
    qwen = Tokenizer.load(folder);
  }

  /** See docs/model.md, "Tokenizer". */
  @Test
  void knownIds() {
    assertArrayEquals(new int[] {198}, qwen.encode("\n"));
    assertArrayEquals(new int[] {872}, qwen.encode("user"));
    assertArrayEquals(new int[] {151644, 872, 198, 151645}, qwen.encode("<|im_start|>user\n<|im_end|>"));
    assertEquals(151655, qwen.addedTokenId("<|image_pad|>").orElseThrow());
    // special, not special, without text
    assertEquals("<tool_call>", qwen.decode(new int[] {151643, 151657, 151671, 151665}));
  }

  @Test
  void idsAndTextsEqualHuggingFacesForTenThousandStrings() throws IOException {
    int strings = 0;
    int lists = 0;
    try (BufferedReader lines = new BufferedReader(new InputStreamReader(
        new GZIPInputStream(Files.newInputStream(FILES.resolve("answers.jsonl.gz"))), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        JsonNode answer = JSON.readTree(line);
        int[] ids = JSON.convertValue(answer.get("ids"), int[].class);
        if (answer.get("text").isTextual()) {
          assertArrayEquals(ids, qwen.encode(answer.get("text").asText()), line);
          strings++;
        } else {
          lists++;
        }
        assertEquals(answer.get("decoded").asText(), qwen.decode(ids), line);
        assertEquals(answer.get("decoded").asText(), streamed(ids), line);
      }
    }
    assertTrue(strings >= 10_000 && lists >= 1_000, strings + " strings, " + lists + " lists of ids");
  }

  private static String streamed(int[] ids) {
    StreamDecoder stream = qwen.newStreamDecoder();
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      text.append(stream.accept(id));
    }
    return text.append(stream.finish()).toString();
  }

  /** A copy goes on with the half character that the original holds, and neither hears of the other. */
  @Test
  void streamsCanBeCopiedWithinACharacter() {
    int[] ids = qwen.encode("\ud83e\uddd1\ud83c\udfff\u200d\ud83d\ude80");
    for (int split = 0; split <= ids.length; split++) {
      StreamDecoder original = qwen.newStreamDecoder();
      StringBuilder text = new StringBuilder();
      for (int i = 0; i < split; i++) {
        text.append(original.accept(ids[i]));
      }
      StreamDecoder copy = original.copy();
      assertEquals(original.copy().finish(), original.copy().finish());
      StringBuilder copied = new StringBuilder(text);
      for (int i = split; i < ids.length; i++) {
        copied.append(copy.accept(ids[i]));
      }
      for (int i = split; i < ids.length; i++) {
        text.append(original.accept(ids[i]));
      }
      assertEquals(qwen.decode(ids), copied.append(copy.finish()).toString());
      assertEquals(qwen.decode(ids), text.append(original.finish()).toString());
    }
  }

  /** As the base models also ship it: vocab.json, merges.txt and the added tokens in tokenizer_config.json. */
  @Test
  void vocabularyAndMergesAsSeparateFilesAreTheSameTokenizer(@TempDir Path split) throws IOException {
    JsonNode whole = JSON.readTree(folder.resolve("tokenizer.json").toFile());
    JSON.writeValue(split.resolve("vocab.json").toFile(), whole.at("/model/vocab"));
    String merges = StreamSupport.stream(whole.at("/model/merges").spliterator(), false)
        .map(JsonNode::asText).collect(Collectors.joining("\n", "#version: 0.2\n", "\n"));
    Files.writeString(split.resolve("merges.txt"), merges);
    ObjectNode config = JSON.createObjectNode();
    ObjectNode decoder = config.putObject("added_tokens_decoder");
    whole.get("added_tokens").forEach(token -> decoder.set(token.get("id").asText(), token));
    JSON.writeValue(split.resolve("tokenizer_config.json").toFile(), config);

    Tokenizer other = Tokenizer.load(split);
    String text = "<|im_start|>user\n# # Größe\u0301 don't 日本語 <tool_call> 123\r\n\r\n  x<|im_end|>";
    assertArrayEquals(qwen.encode(text), other.encode(text));
    assertEquals(qwen.decode(qwen.encode(text)), other.decode(other.encode(text)));
  }
}
