// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.Request;
import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.ImageContent;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.TextContent;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.ModelNotFoundException;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.openai.OpenAiChatModel;
import dev.langchain4j.model.openai.OpenAiStreamingChatModel;
import dev.langchain4j.model.output.FinishReason;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The clients that people use: OpenAI's own for JavaScript, and that of langchain4j. */
class ClientsTest {
  private static final String DESCRIBE = "Describe this image.";
  private static final String COLOR = "What color is the square?";
  private static ServedModel served;

  @TempDir
  Path temp;

  @BeforeAll
  static void serve() {
    served = new ServedModel();
  }

  @AfterAll
  static void stop() {
    served.close();
  }

  private static String expected(int tokens) {
    return served.direct(Request.of(DESCRIBE, ServedModel.image()), GenerationOptions.DEFAULTS.withGenLength(tokens)).text();
  }

  private static String expectedFollowUp(String answer, int tokens) {
    Request request = Request.builder().image(ServedModel.image()).text(DESCRIBE).assistant(answer).text(COLOR).build();
    return served.direct(request, GenerationOptions.DEFAULTS.withGenLength(tokens)).text();
  }

  @Test
  void openai() throws Exception {
    String text = expected(64);
    String base = "http://127.0.0.1:" + served.server.port();
    JsonNode out = Node.run(temp, "openai", "openai.mjs", base, ServedModel.IMAGE.toString());
    assertEquals(ServedModel.NAME, out.get("model").asText());
    assertEquals(text, out.get("text").asText());
    assertEquals("stop", out.get("finish").asText());
    assertEquals(0, out.get("usage").asInt());
    assertEquals(text, out.get("logprobs").asText());
    assertEquals(text, out.get("streamed").asText());
    assertTrue(out.get("chunks").asInt() > 1, "block by block");
    assertTrue(out.get("streamUsage").asInt() > 0);
    assertEquals(text, out.get("accumulated").asText());
    assertEquals(expectedFollowUp(text, 32), out.get("followUp").asText());
    assertEquals("NotFoundError 404 model_not_found model invalid_request_error", out.get("wrongModel").asText());
    assertEquals("BadRequestError 400 null temperature invalid_request_error", out.get("wrongField").asText());
    assertEquals("BadRequestError 400 context_length_exceeded messages invalid_request_error", out.get("tooLong").asText());
    served.awaitIdle();
    assertTrue(served.engine.stats().cancelled() > 0, "the stream that was aborted");
  }

  private static OpenAiChatModel.OpenAiChatModelBuilder langchain(String model, int tokens) {
    return OpenAiChatModel.builder().baseUrl("http://127.0.0.1:" + served.server.port() + "/v1").apiKey("none").modelName(model)
        .maxTokens(tokens).maxRetries(0).timeout(Duration.ofMinutes(1));
  }

  private static UserMessage describe() throws IOException {
    String data = Base64.getEncoder().encodeToString(Files.readAllBytes(ServedModel.IMAGE));
    return UserMessage.from(ImageContent.from(data, "image/png"), TextContent.from(DESCRIBE));
  }

  @Test
  void langchain4j() throws Exception {
    ChatResponse response = langchain(ServedModel.NAME, 64).build().chat(describe());
    assertEquals(expected(64), response.aiMessage().text());
    assertEquals(FinishReason.STOP, response.finishReason());
    assertTrue(response.tokenUsage().inputTokenCount() > 0);
    ChatResponse followUp = langchain(ServedModel.NAME, 32).build().chat(describe(), AiMessage.from(response.aiMessage().text()),
        UserMessage.from(COLOR));
    assertEquals(expectedFollowUp(response.aiMessage().text(), 32), followUp.aiMessage().text());
    ChatResponse brief = langchain(ServedModel.NAME, 8).build().chat(SystemMessage.from("Be brief."), describe());
    assertEquals(FinishReason.LENGTH, brief.finishReason());
  }

  @Test
  void langchain4jStreams() throws Exception {
    OpenAiStreamingChatModel model = OpenAiStreamingChatModel.builder().baseUrl("http://127.0.0.1:" + served.server.port() + "/v1")
        .apiKey("none").modelName(ServedModel.NAME).maxTokens(64).build();
    StringBuilder heard = new StringBuilder();
    CompletableFuture<ChatResponse> end = new CompletableFuture<>();
    model.chat(List.of(describe()), new StreamingChatResponseHandler() {
      @Override
      public void onPartialResponse(String text) {
        heard.append(text);
      }

      @Override
      public void onCompleteResponse(ChatResponse response) {
        end.complete(response);
      }

      @Override
      public void onError(Throwable error) {
        end.completeExceptionally(error);
      }
    });
    ChatResponse response = end.get(1, TimeUnit.MINUTES);
    assertEquals(expected(64), response.aiMessage().text());
    assertEquals(expected(64), heard.toString());
    assertEquals(FinishReason.STOP, response.finishReason());
    assertTrue(response.tokenUsage().outputTokenCount() > 0);
  }

  @Test
  void langchain4jSeesTheErrors() {
    assertThrows(ModelNotFoundException.class, () -> langchain("other", 8).build().chat("Hello"));
    Throwable wrong = assertThrows(RuntimeException.class, () -> langchain(ServedModel.NAME, 8).temperature(9.0).build().chat("Hello"));
    assertInstanceOf(InvalidRequestException.class, wrong);
    assertTrue(wrong.getMessage().contains("temperature"), wrong.getMessage());
  }

  /** Users by the script that docs name. */
  @Test
  void autocannon() throws Exception {
    Node.assumeInstalled("autocannon");
    String out = Node.print(temp, Path.of("bench/load.mjs"), "--users", "1,2", "--seconds", "2", "--tokens", "8", "--url",
        "http://127.0.0.1:" + served.server.port());
    List<String> lines = out.lines().toList();
    assertEquals(3, lines.size(), out);
    for (int users = 1; users <= 2; users++) {
      String[] cells = lines.get(users).strip().split(" +");
      assertEquals(Integer.toString(users), cells[0], out);
      assertTrue(Integer.parseInt(cells[1]) > 0 && cells[2].equals("0") && Double.parseDouble(cells[3]) > 0, out);
      assertTrue(Integer.parseInt(cells[4]) <= Integer.parseInt(cells[6]), out);
    }
    served.awaitIdle();
  }
}
