// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code dvl serve}: what it refuses to begin with, and how it ends. */
class ServeCommandTest {
  private static final Pattern ADDRESS = Pattern.compile("serving diffusionvl-tiny at (http://127\\.0\\.0\\.1:\\d+/)");

  @TempDir
  private Path temp;

  @ParameterizedTest
  @CsvSource({"--host=0.0.0.0, --api-key-file", "--host=::, --api-key-file", "--host=192.0.2.1, --api-key-file",
      "--host=no.such.name.invalid, --host", "--port=70000, --port", "--port=x, port", "--slots=0, --slots", "--slots=65, --slots",
      "--queue=-1, --queue", "--kv-tokens=0, --kv-tokens", "--drain-seconds=-1, --drain-seconds", "--request-timeout=0, --request-timeout",
      "--max-body-bytes=1, --max-body-bytes", "--max-images=65, --max-images", "--max-image-pixels=0, --max-image-pixels",
      "--max-connections=0, --max-connections", "--default-max-tokens=0, --default-max-tokens", "--dtype=f8, --dtype"})
  void refusesWhatCannotBe(String option, String mention) {
    new DvlProcess(temp).refusedHere(2, mention, "serve", "--model", DvlProcess.MODEL.toString(), option);
  }

  @Test
  void refusesFilesThatAreNoneOfKeys() throws IOException {
    DvlProcess dvl = new DvlProcess(temp);
    String missing = temp.resolve("no-such-file").toString();
    dvl.refusedHere(3, "no-such-file", "serve", "--model", DvlProcess.MODEL.toString(), "--api-key-file", missing);
    Path empty = Files.writeString(temp.resolve("empty"), "# nothing\n\n");
    dvl.refusedHere(3, "holds no key", "serve", "--model", DvlProcess.MODEL.toString(), "--api-key-file", empty.toString());
    Path odd = Files.writeString(temp.resolve("odd"), "sk-good\n# of ours\nsk two words\n");
    dvl.refusedHere(3, "line 3 is no key", "serve", "--model", DvlProcess.MODEL.toString(), "--api-key-file", odd.toString());
    dvl.refusedHere(3, "/dev/zero: not a regular file", "serve", "--model", DvlProcess.MODEL.toString(), "--api-key-file", "/dev/zero");
    dvl.refusedHere(3, "no-such-model", "serve", "--model", temp.resolve("no-such-model").toString());
  }

  @Test
  void refusesAPortThatIsTaken() throws IOException, InterruptedException {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getByName("127.0.0.1"))) {
      DvlProcess.Outcome outcome = new DvlProcess(temp).run("serve", "--model", DvlProcess.MODEL.toString(), "--port",
          Integer.toString(taken.getLocalPort()), "--slots", "1", "--kv-tokens", "1024");
      assertEquals(2, outcome.code(), outcome.err());
      assertTrue(outcome.err().contains("cannot listen"), outcome.err());
    }
  }

  @ParameterizedTest
  @CsvSource({"INT", "TERM"})
  void aSignalLetsAnswersInWorkEndAndRefusesOthers(String signal) throws Exception {
    assumeFalse(signal.equals("INT") && interruptsAreIgnored(), "skipped: SIGINT is ignored here, as in the background of a shell");
    Process process = new DvlProcess(temp).start("serve", "--model", DvlProcess.MODEL.toString(), "--port", "0", "--slots", "1",
        "--kv-tokens", "1024", "--drain-seconds", "60");
    try (HttpClient client = HttpClient.newHttpClient()) {
      URI server = URI.create(address(process));
      String question = "{\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}],"
          + "\"max_tokens\":300,\"temperature\":2,\"seed\":1,\"n\":6}";
      HttpRequest request = HttpRequest.newBuilder(server.resolve("/v1/chat/completions")).header("Content-Type", "application/json")
          .POST(HttpRequest.BodyPublishers.ofString(question)).build();
      CompletableFuture<HttpResponse<String>> answer = client.sendAsync(request, BodyHandlers.ofString());
      String metrics = "";
      for (int i = 0; !metrics.contains("vllm:num_requests_running{model_name=\"diffusionvl-tiny\"} 1.0"); i++) {
        assertTrue(i < 500 && !answer.isDone(), "no answer is in work");
        Thread.sleep(20);
        metrics = client.send(HttpRequest.newBuilder(server.resolve("/metrics")).build(), BodyHandlers.ofString()).body();
      }
      assertEquals(0, new ProcessBuilder("kill", "-" + signal, Long.toString(process.pid())).start().waitFor());
      HttpRequest health = HttpRequest.newBuilder(server.resolve("/health")).build(); // a question sent too early would be answered
      while (client.send(health, BodyHandlers.ofString()).statusCode() == 200 && !answer.isDone()) {
        Thread.sleep(10);
      }
      assertEquals(503, client.send(request, BodyHandlers.ofString()).statusCode());
      assertEquals(200, answer.get(100, TimeUnit.SECONDS).statusCode(), answer.get().body());
      assertTrue(process.waitFor(30, TimeUnit.SECONDS));
      assertEquals(0, process.exitValue(), Files.readString(temp.resolve("stderr")));
    } finally {
      process.destroyForcibly();
    }
  }

  /** What a process ignores, the processes that it starts ignore as well. */
  private static boolean interruptsAreIgnored() throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream().filter(line -> line.startsWith("SigIgn:"))
        .anyMatch(line -> (Long.parseUnsignedLong(line.split("\\s+")[1], 16) & 2) != 0);
  }

  private String address(Process process) throws IOException, InterruptedException {
    for (int i = 0; i < 1200 && process.isAlive(); i++) {
      Matcher address = ADDRESS.matcher(Files.readString(temp.resolve("stdout")));
      if (address.find()) {
        return address.group(1);
      }
      Thread.sleep(50);
    }
    throw new AssertionError("does not serve: " + Files.readString(temp.resolve("stderr")));
  }
}
