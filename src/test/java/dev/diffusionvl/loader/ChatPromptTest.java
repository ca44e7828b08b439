// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.model.GoldenCase;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ChatPromptTest {
  private static final Tokenizer TOKENIZER = Tokenizer.load(GoldenCase.MODEL);

  static List<GoldenCase> goldenCases() {
    return GoldenCase.all();
  }

  @ParameterizedTest
  @MethodSource("goldenCases")
  void officialFormEqualsTheReference(GoldenCase golden) {
    int[] ids = ChatPrompt.tokens(TOKENIZER, PromptForm.OFFICIAL, null, golden.json().get("prompt").asText(),
        golden.images().size());
    assertArrayEquals(golden.promptTokenIds(), ids);
  }

  @Test
  void placeholdersInTheQuestionStayWhereTheyAre() {
    int[] ids = official("First <image> then <image>!", 2);
    int[] expected = official("First ", 0);
    int firstImage = position(ids);
    // everything up to the end of "First " is the same as in the text-only prompt
    assertArrayEquals(Arrays.copyOf(expected, firstImage), Arrays.copyOf(ids, firstImage));
    assertEquals(2, images(ids));
    int[] between = IntStream.of(ids).skip(firstImage + 1).takeWhile(id -> id >= 0).toArray();
    assertEquals(" then ", TOKENIZER.decode(between));
  }

  @Test
  void anotherSystemTextReplacesTheOfficialOne() {
    String text = TOKENIZER.decode(ChatPrompt.tokens(TOKENIZER, PromptForm.OFFICIAL, "Be brief.", "Hello", 0));
    assertEquals("system\nBe brief.\nuser\nHello\nassistant\n", text);
  }

  @Test
  void baseModelFormWrapsEachImageAndKeepsTheMarkers() {
    int[] ids = ChatPrompt.tokens(TOKENIZER, PromptForm.QWEN_VL, null, "Hello", 2);
    int start = TOKENIZER.addedTokenId("<|vision_start|>").orElseThrow();
    int end = TOKENIZER.addedTokenId("<|vision_end|>").orElseThrow();
    int first = position(ids);
    assertArrayEquals(new int[] {start, ChatPrompt.IMAGE, end, start, ChatPrompt.IMAGE, end},
        IntStream.of(ids).skip(first - 1).limit(6).toArray());
    assertEquals(2, images(ids));
    assertEquals("system\nYou are a helpful assistant.\nuser\nHello\nassistant\n", TOKENIZER.decode(ids));
  }

  @Test
  void countsOfPlaceholdersAndImagesMustAgree() {
    for (PromptForm form : PromptForm.values()) {
      BadInputException e = assertThrows(BadInputException.class,
          () -> ChatPrompt.tokens(TOKENIZER, form, null, "a <image> b", 2));
      assertTrue(e.getMessage().contains("1 in the text, but 2 images given"), e.getMessage());
      assertThrows(BadInputException.class, () -> ChatPrompt.tokens(TOKENIZER, form, null, "a <image> b", 0));
      assertThrows(BadInputException.class, () -> ChatPrompt.tokens(TOKENIZER, form, "<image>", "b", 2));
    }
  }

  private static int[] official(String question, int images) {
    return ChatPrompt.tokens(TOKENIZER, PromptForm.OFFICIAL, null, question, images);
  }

  private static long images(int[] ids) {
    return IntStream.of(ids).filter(id -> id == ChatPrompt.IMAGE).count();
  }

  private static int position(int[] ids) {
    return (int) IntStream.of(ids).takeWhile(id -> id != ChatPrompt.IMAGE).count();
  }
}
