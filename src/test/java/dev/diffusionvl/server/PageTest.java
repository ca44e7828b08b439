// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.GenerationOptions.Remasking;
import dev.diffusionvl.model.GenerationResult;
import dev.diffusionvl.model.Request;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The page at {@code /}: its files, and what a person sees who uses it in a browser. */
class PageTest {
  private static final Path SCREENSHOTS = Path.of(System.getProperty("dvl.page.screenshots", "target/page"));
  private static ServedModel served;

  @BeforeAll
  static void serve() {
    served = new ServedModel();
  }

  @AfterAll
  static void stop() {
    served.close();
  }

  @Test
  void itsFilesAreServedWithAStrictPolicy() throws Exception {
    for (String path : List.of("/", "/index.html", "/page.css", "/page.js", "/icon.svg")) {
      HttpResponse<String> response = served.get(path);
      assertEquals(200, response.statusCode(), path);
      String policy = response.headers().firstValue("Content-Security-Policy").orElse("");
      assertTrue(policy.startsWith("default-src 'none'; script-src 'self'; style-src 'self';"), policy);
      assertFalse(policy.contains("unsafe"), policy);
      assertFalse(response.body().matches("(?s).*(src|href)=\"(https?:)?//.*"), path + " asks for something elsewhere");
    }
    assertEquals(404, served.get("/package-info.class").statusCode());
  }

  @Test
  void aPersonWatchesAnAnswerBeingDenoised(@TempDir Path temp) throws Exception {
    String browser = Node.onPath("chromium", "chromium-browser", "google-chrome");
    assumeTrue(browser != null, "skipped: there is no Chromium on the PATH");
    Files.createDirectories(SCREENSHOTS);
    GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(40);
    String describe = "Describe this image.";
    GenerationResult answer = served.direct(Request.of(describe, ServedModel.image()), options.withSteps(4));
    Request second = Request.builder().image(ServedModel.image()).text(describe).assistant(answer.text())
        .text("What color is the square?").build();
    GenerationResult next = served.direct(second, options.withSteps(4).withRemasking(Remasking.LOW_CONFIDENCE_DYNAMIC, 0.5f));
    JsonNode seen = Node.run(temp, "playwright-core", "browser.mjs", browser, "http://127.0.0.1:" + served.server.port(),
        ServedModel.IMAGE.toString(), SCREENSHOTS.toString());
    assertEquals("[]", seen.get("problems").toString());
    assertEquals("[]", seen.get("elsewhere").toString());
    for (String scheme : List.of("light", "dark")) {
      assertTrue(seen.at("/contrast/" + scheme).asDouble() >= 4.5, seen.get("contrast").toString());
    }
    for (String control : List.of("file", "question", "steps", "dynamic", "length", "ask", "new")) {
      assertTrue(seen.get("focus").toString().contains("\"" + control + "\""), control + " is not in " + seen.get("focus"));
    }
    assertEquals("{\"question\":1,\"steps\":1,\"threshold\":1,\"dynamic\":1,\"ask\":1,\"status\":1}", seen.get("named").toString());
    JsonNode half = seen.get("half");
    assertTrue(answer.text().startsWith(half.get("solid").asText()), half.toString());
    assertEquals(8, half.get("masks").asInt() + half.get("drafts").size());
    for (JsonNode draft : half.get("drafts")) {
      assertEquals(0.3 + 0.7 * draft.get("confidence").asDouble(), draft.get("opacity").asDouble(), 0.01);
    }
    assertTrue(half.get("speed").asDouble() > 0 && half.get("forwards").asDouble() > 0, half.toString());
    assertEquals(answer.text(), seen.get("answer").asText());
    assertEquals(0, seen.get("cellsLeft").asInt());
    assertEquals(answer.generatedTokens(), seen.get("tokens").asInt());
    assertEquals((double) answer.counts().forwards() / answer.generatedTokens(), seen.get("forwards").asDouble(), 0.01);
    assertEquals(next.text(), seen.get("second").asText());
    assertEquals(0, seen.get("turnsLeft").asInt());
    served.awaitIdle();
    for (String name : List.of("page-half-denoised.png", "page-answer.png")) {
      assertTrue(Files.size(SCREENSHOTS.resolve(name)) > 10_000, name);
    }
  }
}
