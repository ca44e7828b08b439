// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import static dev.diffusionvl.server.ServedModel.ask;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.diffusionvl.prove.BrokenDevice;
import dev.diffusionvl.runtime.LeakTracker;
import java.io.IOException;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A device that fails under the server: answers in work end with an error, and whoever asks later is told at once. */
class FailedDeviceTest {
  @Test
  @Timeout(120)
  void everybodyIsTold() throws Exception {
    int handles = LeakTracker.openHandles();
    try (ServedModel served = new ServedModel()) {
      assertEquals(200, served.get("/health").statusCode());
      List<CompletableFuture<HttpResponse<String>>> whole = new ArrayList<>();
      byte[] streamed = ask("Hello", 400).put("temperature", 2).put("seed", 7).put("stream", true).toString().getBytes();
      try (Stream<String> lines = served.lines(streamed)) {
        List<String> events = new ArrayList<>();
        lines.filter(line -> line.startsWith("data: ")).forEach(line -> {
          events.add(line.substring(6));
          if (events.size() == 2) { // the role, and some text
            for (int i = 0; i < 3; i++) { // six answers: some run and some wait
              whole.add(later(served, ask("Hello", 400).put("temperature", 2).put("seed", i).put("n", 2).toString().getBytes()));
            }
            await(() -> served.engine.stats().running() + served.engine.stats().waiting() == 7);
            BrokenDevice.make(served.device);
          }
        });
        assertEquals("[DONE]", events.getLast());
        JsonNode error = ServedModel.JSON.readTree(events.get(events.size() - 2)).get("error");
        assertEquals("unavailable", error.get("code").asText());
        assertEquals("the device failed", error.get("message").asText());
      }
      for (CompletableFuture<HttpResponse<String>> response : whole) {
        unavailable(response.get());
      }
      unavailable(served.post(ask("Hello", 8)));
      HttpResponse<String> health = served.get("/health");
      assertEquals("503 {\"status\":\"failed\"}", health.statusCode() + " " + health.body());
      assertEquals(200, served.get("/v1/models").statusCode());
      assertTrue(served.get("/metrics").body().contains("\nvllm:num_requests_running{model_name=\"demo\"} 0.0"));
    }
    assertEquals(handles, LeakTracker.openHandles(), () -> String.join("\n", LeakTracker.report()));
  }

  private static CompletableFuture<HttpResponse<String>> later(ServedModel served, byte[] body) {
    return CompletableFuture.supplyAsync(() -> {
      try {
        return served.send(served.completion(body));
      } catch (IOException | InterruptedException e) {
        throw new IllegalStateException(e);
      }
    }, Thread::startVirtualThread);
  }

  private static void await(BooleanSupplier condition) {
    while (!condition.getAsBoolean()) {
      LockSupport.parkNanos(1_000_000);
    }
  }

  private static void unavailable(HttpResponse<String> response) throws Exception {
    assertEquals(503, response.statusCode(), response.body());
    assertTrue(response.headers().firstValue("Retry-After").isPresent());
    assertEquals("unavailable", ServedModel.JSON.readTree(response.body()).at("/error/code").asText());
  }
}
