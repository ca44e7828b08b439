// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import static dev.diffusionvl.server.ServedModel.ask;
import static dev.diffusionvl.server.ServedModel.askImage;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.File;
import java.io.IOException;
import java.net.Socket;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** Many clients of all kinds at once, for a while (nightly: 10 minutes): nothing is left of them, and answers are the same as before. */
class LoadTest {
  private static final Duration TIME = Duration.ofSeconds(Long.getLong("dvl.server.load.seconds", 30));
  private static final int CLIENTS = 12;

  private final Map<Integer, Integer> statuses = new ConcurrentHashMap<>();

  @Test
  void leavesNothingBehindAndStaysExact() throws Exception {
    // Without a prefix cache, which takes memory of the device as it fills.
    try (ServedModel served = new ServedModel(ServedModel.SMALL.withPrefixCacheBytes(0), ServedModel.options())) {
      List<String> expected = answers(served);
      run(served, Duration.ofSeconds(2)); // what is made once is made
      Left before = left(served);
      run(served, TIME);
      Left after = left(served);
      assertEquals(before.deviceBytes, after.deviceBytes, "bytes of the device");
      assertEquals(before.threads, after.threads, "threads");
      assertTrue(after.httpThreads <= 16, "threads of the server's pool: " + after.httpThreads);
      assertEquals(before.files, after.files, "open files");
      assertTrue(served.get("/metrics").body().contains("\ndvl:connections{model_name=\"demo\"} 1.0"), served.get("/metrics").body());
      assertEquals(Runtime.getRuntime().maxMemory() / 2, served.server.freeBudget());
      assertEquals(expected, answers(served));
      assertTrue(statuses.keySet().containsAll(List.of(200, 400, 413)), statuses.toString());
      assertTrue(statuses.keySet().stream().noneMatch(status -> status == 500), statuses.toString());
    }
  }

  /** @param files what the process has open, and how often */
  private record Left(long deviceBytes, long threads, long httpThreads, Map<String, Long> files) {}

  /** Once all is quiet. */
  private static Left left(ServedModel served) throws InterruptedException {
    served.awaitIdle();
    served.hangUp();
    Left last = null;
    for (int i = 0; i < 100; i++) {
      Thread.sleep(200);
      List<String> names = Thread.getAllStackTraces().keySet().stream().map(Thread::getName).toList();
      long ours = names.stream().filter(name -> name.startsWith("diffusionvl-") && !name.startsWith("diffusionvl-http")).count();
      long http = names.stream().filter(name -> name.startsWith("diffusionvl-http")).count();
      Left now = new Left(served.device.memory().free(), ours, http, files());
      if (now.equals(last) && i > 10) {
        return now;
      }
      last = now;
    }
    return last;
  }

  private static Map<String, Long> files() {
    Map<String, Long> files = new TreeMap<>();
    for (File file : new File("/proc/self/fd").listFiles()) {
      try {
        String name = Files.readSymbolicLink(file.toPath()).toString().replaceFirst("\\[\\d+]$", "");
        // Jars are opened when a class of theirs is first used; Java makes a poller for each of its carriers of virtual threads.
        if (!name.endsWith(".jar") && !name.equals("anon_inode:[eventpoll]")) {
          files.merge(name, 1L, Long::sum);
        }
      } catch (IOException e) {
        // closed meanwhile: that of the listing itself
      }
    }
    return files;
  }

  private static List<String> answers(ServedModel served) throws Exception {
    List<String> texts = new ArrayList<>();
    texts.add(ServedModel.text(served.answer(askImage("Describe this image.", 48))));
    texts.add(ServedModel.text(served.answer(ask("Hello", 24).put("temperature", 1).put("seed", 4))));
    return texts;
  }

  private void run(ServedModel served, Duration time) throws Exception {
    long end = System.nanoTime() + time.toNanos();
    try (ExecutorService clients = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<?>> all = new ArrayList<>();
      for (int i = 0; i < CLIENTS; i++) {
        Random random = new Random(i);
        all.add(clients.submit(() -> {
          while (System.nanoTime() - end < 0) {
            visit(served, random);
          }
          return null;
        }));
      }
      for (Future<?> client : all) {
        client.get(time.toSeconds() + 120, TimeUnit.SECONDS);
      }
    }
  }

  private void visit(ServedModel served, Random random) throws Exception {
    switch (random.nextInt(8)) {
      case 0, 1 -> count(served.post(ask("Hello", 8 + random.nextInt(40)).put("temperature", 1)));
      case 2 -> count(served.post(askImage("What is it?", 16)));
      case 3 -> count(served.post(ask("Hello", 24).put("stream", true).put("n", 2)));
      case 4 -> count(served.post("{\"messages\":[" + "{".repeat(random.nextInt(50))));
      case 5 -> count(served.post(" ".repeat((32 << 20) + 1)));
      case 6 -> leave(served, random);
      default -> readSlowly(served);
    }
  }

  private void count(HttpResponse<String> response) {
    statuses.merge(response.statusCode(), 1, Integer::sum);
    assertTrue(List.of(200, 400, 413, 429).contains(response.statusCode()), response.statusCode() + " " + response.body());
  }

  private static Socket begin(ServedModel served, ObjectNode body) throws IOException {
    Socket socket = new Socket("127.0.0.1", served.server.port());
    socket.setSoTimeout(60_000);
    String text = body.toString();
    socket.getOutputStream().write(("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        + "Content-Length: " + text.length() + "\r\n\r\n" + text).getBytes(StandardCharsets.UTF_8));
    return socket;
  }

  private static void leave(ServedModel served, Random random) throws Exception {
    try (Socket socket = begin(served, ask("Hello", 200).put("stream", random.nextBoolean()).put("temperature", 2))) {
      Thread.sleep(random.nextInt(300));
    }
  }

  private static void readSlowly(ServedModel served) throws Exception {
    try (Socket socket = begin(served, ask("Hello", 24).put("stream", true))) {
      for (int i = 0; i < 10; i++) {
        Thread.sleep(50);
        socket.getInputStream().readNBytes(20);
      }
    }
  }
}
