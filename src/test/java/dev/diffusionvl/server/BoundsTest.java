// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import static dev.diffusionvl.server.ServedModel.JSON;
import static dev.diffusionvl.server.ServedModel.ask;
import static dev.diffusionvl.server.ServedModel.askImage;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.model.Generation;
import dev.diffusionvl.model.GenerationListener;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.Request;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a stranger can send is bounded in size and in time, and what a stranger has left behind is cleaned up. */
class BoundsTest {
  /** Small enough to be reached quickly. */
  private static final ServerOptions.Limits TIGHT = new ServerOptions.Limits(20_000, 2, 128 * 128, 1000, 4, 64, 4, Duration.ofSeconds(2),
      Duration.ofSeconds(4), Duration.ofSeconds(60));

  private ServedModel served;

  private void serve(ServerOptions options) {
    served = new ServedModel(ServedModel.SMALL.withSlots(1).withQueue(1), options);
  }

  @AfterEach
  void stop() {
    if (served != null) {
      served.close();
    }
  }

  /** An answer that takes the engine's only slot for many seconds, unless it is cancelled: no draw is ever the end of text. */
  private Generation hold() throws InterruptedException {
    CountDownLatch begun = new CountDownLatch(1);
    GenerationOptions endless = GenerationOptions.DEFAULTS.withGenLength(960).withSampling(1, 0, 1)
        .withUniforms(Collections.nCopies(2000, new double[8]));
    Generation holding = served.engine.submit(Request.of("Hello"), endless, new GenerationListener() {
      @Override
      public void onStep(int block, int step, List<Commit> committed) {
        begun.countDown();
      }
    });
    begun.await();
    return holding;
  }

  private Socket raw(String text) throws IOException {
    Socket socket = new Socket("127.0.0.1", served.server.port());
    socket.setSoTimeout(20_000);
    socket.getOutputStream().write(text.getBytes(StandardCharsets.UTF_8));
    return socket;
  }

  private static String head(ObjectNode body, int length) {
    return "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " + length
        + "\r\n\r\n" + body;
  }

  private static String all(Socket socket) throws IOException {
    return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
  }

  @Test
  void sizesOfBodiesImagesAndTexts() throws Exception {
    serve(ServedModel.options(TIGHT));
    HttpResponse<String> large = served.post("x".repeat(20_001));
    assertEquals(413, large.statusCode());
    assertEquals("request_too_large", JSON.readTree(large.body()).at("/error/code").asText());
    String sample = ServedModel.dataUri(ServedModel.IMAGE);
    HttpResponse<String> pixels = served.post(askImage("x", 8).toString().replace(sample, blank(129, 128)));
    assertEquals(400, pixels.statusCode());
    assertTrue(pixels.body().contains("16384"), pixels.body());
    ObjectNode three = ask("", 8);
    ArrayNode parts = ((ObjectNode) three.at("/messages/0")).putArray("content");
    for (int i = 0; i < 3; i++) {
      parts.addObject().put("type", "image_url").putObject("image_url").put("url", blank(8, 8));
    }
    assertTrue(served.post(three).body().contains("3 images, at most 2"));
    assertTrue(served.post(ask("x".repeat(1001), 8)).body().contains("at most 1000"));
    assertEquals(400, served.post(ask("x", 8).put("n", 5)).statusCode());
    String nested = "{\"messages\":" + "[".repeat(40) + "]".repeat(40) + "}";
    assertTrue(served.post(nested).body().contains("nesting"));
    assertEquals(served.server.freeBudget(), Runtime.getRuntime().maxMemory() / 2);
  }

  private static String blank(int width, int height) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ImageIO.write(new BufferedImage(width, height, BufferedImage.TYPE_BYTE_GRAY), "png", out);
    return "data:image/png;base64," + Base64.getEncoder().encodeToString(out.toByteArray());
  }

  @Test
  void headsThatAreTooLargeOrBroken() throws Exception {
    serve(ServedModel.options(TIGHT));
    try (Socket socket = raw("GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + "y".repeat(20_000) + "\r\n\r\n")) {
      String response = all(socket);
      assertTrue(response.startsWith("HTTP/1.1 431 "), response);
      assertTrue(response.contains("\"type\":\"invalid_request_error\""), response);
    }
    for (String broken : List.of("rubbish\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n")) {
      try (Socket socket = raw(broken)) {
        String response = all(socket);
        assertTrue(response.startsWith("HTTP/1.1 400 ") && response.contains("{\"error\":{"), response);
      }
    }
  }

  @Test
  void slowWritersAreNotWaitedFor() throws Exception {
    serve(ServedModel.options(TIGHT));
    try (Socket silent = raw(""); Socket head = raw("GET /health HT"); Socket body = raw(head(ask("Hello", 8), 10_000))) {
      Thread drip = Thread.startVirtualThread(() -> {
        try {
          while (true) {
            Thread.sleep(500);
            head.getOutputStream().write('T');
            body.getOutputStream().write(' ');
          }
        } catch (IOException | InterruptedException e) {
          // closed, as it should be
        }
      });
      assertEquals("", all(silent));
      assertTrue(all(body).startsWith("HTTP/1.1 408 "));
      try {
        assertFalse(all(head).startsWith("HTTP/1.1 200"));
      } catch (IOException e) {
        // reset while it wrote
      }
      drip.interrupt();
    }
    assertEquals(200, served.get("/health").statusCode());
  }

  @Test
  void connectionsBeyondTheLimitWait() throws Exception {
    serve(ServedModel.options(TIGHT));
    List<Socket> idle = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      idle.add(raw(""));
    }
    assertEquals(200, served.get("/health").statusCode(), "answered once idle connections are closed");
    for (Socket socket : idle) {
      socket.close();
    }
  }

  @Test
  void aFullQueueIsToldAtOnce() throws Exception {
    serve(ServedModel.options());
    Generation holding = hold();
    Generation waiting = served.engine.submit(Request.of("Hello"), GenerationOptions.DEFAULTS.withGenLength(8), GenerationListener.NONE);
    HttpResponse<String> refused = served.post(ask("Hello", 8).put("stream", true));
    assertEquals(429, refused.statusCode());
    assertEquals("1", refused.headers().firstValue("Retry-After").orElse(""));
    assertEquals("rate_limit_error", JSON.readTree(refused.body()).at("/error/type").asText());
    holding.cancel();
    waiting.await();
    assertEquals(200, served.post(ask("Hello", 8)).statusCode());
  }

  @Test
  void anAnswerThatTakesTooLongIs504() throws Exception {
    serve(ServedModel.options(new ServerOptions.Limits(20_000, 2, 128 * 128, 1000, 4, 64, 4, Duration.ofSeconds(2), Duration.ofSeconds(4),
        Duration.ofSeconds(1))));
    Generation holding = hold();
    Thread.startVirtualThread(() -> {
      try {
        Thread.sleep(1500);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
      holding.cancel();
    });
    HttpResponse<String> late = served.post(ask("Hello", 64));
    assertEquals(504, late.statusCode(), late.body());
  }

  /** Waits behind another answer, so that the client leaves before its own has begun. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aClientThatGoesAwayFreesItsSlot(boolean stream) throws Exception {
    serve(ServedModel.options());
    Generation holding = hold();
    ObjectNode body = ask("Hello", 900).put("stream", stream);
    try (Socket socket = raw(head(body, body.toString().length()))) {
      for (int i = 0; served.engine.stats().waiting() == 0; i++) {
        assertTrue(i < 500, "not submitted");
        Thread.sleep(10);
      }
    }
    String gone = "\ndvl:http_abandoned_total 1.0";
    for (int i = 0; !served.get("/metrics").body().contains(gone); i++) {
      assertTrue(i < 100, "the client's leaving was not noticed");
      Thread.sleep(50);
    }
    holding.cancel();
    served.awaitIdle();
    assertEquals(2, served.engine.stats().cancelled());
    assertEquals(Runtime.getRuntime().maxMemory() / 2, served.server.freeBudget());
  }

  @Test
  void aSlowReaderHoldsUpNobody() throws Exception {
    serve(ServedModel.options());
    ObjectNode body = ask("Hello", 900).put("stream", true).put("temperature", 2).put("seed", 3);
    body.putObject("diffusion").put("stream_drafts", true);
    try (Socket slow = raw(head(body, body.toString().length()))) {
      InputStream in = slow.getInputStream();
      assertEquals('H', in.read());
      assertEquals(200, served.post(ask("Hello", 8)).statusCode(), "another client is answered meanwhile");
      assertTrue(new String(in.readNBytes(2000), StandardCharsets.UTF_8).contains("chat.completion.chunk"));
    }
    served.awaitIdle();
  }

  @Test
  void aReaderThatTakesNothingIsCutOff() throws Exception {
    serve(ServedModel.options(TIGHT));
    String request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    try (Socket socket = new Socket()) {
      socket.setReceiveBufferSize(4096);
      socket.connect(new InetSocketAddress("127.0.0.1", served.server.port()));
      socket.getOutputStream().write(request.repeat(200).getBytes(StandardCharsets.UTF_8)); // answers of some 8 KB each
      for (int i = 0; !served.get("/metrics").body().contains("\ndvl:http_abandoned_total 1.0"); i++) {
        assertTrue(i < 100, "still waited for");
        Thread.sleep(100);
      }
    }
  }

  /** A client that sends its next request before it has the answer to the first. */
  @Test
  void aPipelinedRequestIsNotAClientThatLeft() throws Exception {
    serve(ServedModel.options());
    ObjectNode body = ask("Hello", 16);
    String request = head(body, body.toString().length());
    try (Socket socket = raw(request + request)) {
      String response = "";
      for (byte[] piece = new byte[4096]; !response.contains("\"usage\""); ) {
        int n = socket.getInputStream().read(piece);
        assertTrue(n > 0, response);
        response += new String(piece, 0, n, StandardCharsets.UTF_8);
      }
      assertTrue(response.startsWith("HTTP/1.1 200 "), response);
    }
  }

  @Test
  void drainingAnswersWhatIsInWorkAndRefusesTheRest() throws Exception {
    serve(ServedModel.options());
    Generation holding = hold();
    Thread drain = Thread.ofPlatform().start(() -> {
      try {
        served.server.drain(Duration.ofSeconds(30));
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    });
    for (int i = 0; served.get("/health").statusCode() == 200; i++) {
      assertTrue(i < 100, "not draining");
      Thread.sleep(20);
    }
    HttpResponse<String> refused = served.post(ask("Hello", 8));
    assertEquals(503, refused.statusCode());
    assertEquals("5", refused.headers().firstValue("Retry-After").orElse(""));
    assertTrue(drain.isAlive());
    holding.cancel();
    drain.join();
  }

  @Test
  void aKeyIsAskedFor(@TempDir Path temp) throws Exception {
    Path file = Files.writeString(temp.resolve("keys"), "# of the test\nfirst-key\n\n second-key \n");
    serve(new ServerOptions("127.0.0.1", 0, ServedModel.NAME, ApiKeys.read(file), Set.of(), TIGHT));
    assertEquals(200, served.get("/health").statusCode());
    assertEquals(200, served.get("/").statusCode());
    HttpResponse<String> without = served.post(ask("Hello", 8));
    assertEquals(401, without.statusCode());
    assertEquals("invalid_api_key", JSON.readTree(without.body()).at("/error/code").asText());
    assertEquals(401, served.get("/v1/models").statusCode());
    for (String wrong : List.of("Bearer", "Bearer ", "Bearer first-ke", "Bearer first-key2", "Basic first-key", "first-key")) {
      assertEquals(401, served.send(HttpRequest.newBuilder(served.uri("/v1/models")).header("Authorization", wrong)).statusCode(), wrong);
    }
    for (String right : List.of("Bearer first-key", "bearer second-key")) {
      assertEquals(200, served.send(HttpRequest.newBuilder(served.uri("/v1/models")).header("Authorization", right)).statusCode());
    }
  }

  /** A page of another name that resolves to this machine. */
  @Test
  void onlyNamesOfThisMachineAreAnswered() throws Exception {
    serve(ServedModel.options());
    for (String host : List.of("evil.example", "evil.example:" + served.server.port(), "127.0.0.1.evil.example", "10.0.0.1")) {
      try (Socket socket = raw("GET /v1/models HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")) {
        String response = all(socket);
        assertTrue(response.startsWith("HTTP/1.1 421 "), host + " " + response);
      }
    }
    for (String host : List.of("localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80")) {
      try (Socket socket = raw("GET /v1/models HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")) {
        assertTrue(all(socket).startsWith("HTTP/1.1 200 "), host);
      }
    }
  }
}
