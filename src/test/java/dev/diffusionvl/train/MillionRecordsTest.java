// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedWriter;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A million records are opened in less than a second, and a process with 50 MB of heap orders and reads them. */
class MillionRecordsTest {
  private static final int RECORDS = 1_000_000;

  @ParameterizedTest
  @ValueSource(strings = {"jsonl", "json"})
  void openInASecondWithinFiftyMegabytes(String form) throws IOException, InterruptedException {
    Path folder = Path.of(System.getProperty("dvl.native.dir", "target/native")).resolveSibling("million");
    Path file = Files.createDirectories(folder).resolve(ProcessHandle.current().pid() + "." + form);
    try {
      write(file, form.equals("json"));
      Process process = new ProcessBuilder(ProcessHandle.current().info().command().orElseThrow(), "-Xmx50m", "-XX:+UseSerialGC", "-cp",
          System.getProperty("java.class.path"), Opener.class.getName(), file.toString()).redirectErrorStream(true).start();
      String output = new String(process.getInputStream().readAllBytes());
      assertTrue(process.waitFor(60, TimeUnit.SECONDS));
      assertEquals(0, process.exitValue(), output);
      String[] numbers = output.strip().split(" ");
      System.out.println(form + ": opened in " + numbers[0] + " ms, " + numbers[1] + " MB of heap in use with an epoch's order");
      assertTrue(Integer.parseInt(numbers[0]) < 1000, "milliseconds to open: " + output);
    } finally {
      Files.deleteIfExists(file);
    }
  }

  private static void write(Path file, boolean list) throws IOException {
    try (BufferedWriter out = Files.newBufferedWriter(file)) {
      out.write(list ? "[" : "");
      for (int i = 0; i < RECORDS; i++) {
        String image = i % 8 == 0 ? null : "train/" + i + ".png";
        out.write(TrainingFolder.record("sample-" + i, image, "How many \\\"things\\\" are in picture " + i + "?", "There are " + i + "."));
        out.write(i + 1 == RECORDS ? "" : list ? ",\n" : "\n");
      }
      out.write(list ? "]" : "\n");
    }
  }

  /** Opens the file, takes rows of an epoch's beginning and reads records from its end; prints milliseconds and megabytes. */
  static final class Opener {
    private Opener() {}

    public static void main(String[] args) {
      RowEncoder encoder = TrainingFolder.encoder(RowEncoder.Options.of(TrainingFolder.CONFIG, Path.of(".")));
      ThreadMXBean threads = ManagementFactory.getThreadMXBean(); // time of the core: other tests run beside this one
      long start = threads.getCurrentThreadCpuTime();
      try (ConversationData data = ConversationData.open(Path.of(args[0]), encoder)) {
        long millis = (threads.getCurrentThreadCpuTime() - start) / 1_000_000;
        require(data.size() == RECORDS);
        require(data.record(RECORDS - 1).id().equals("sample-" + (RECORDS - 1)));
        // the images do not exist: seven of eight records are bad, and whole groups of eight
        BadRecord.Listener listener = bad -> require(bad.reason().contains("no such file"));
        try (RowStream rows = data.rows(DataPosition.start(7), new RowStream.Options(8, 1), listener)) {
          for (int i = 0; i < 100; i++) {
            int number = Integer.parseInt(rows.next().id().substring("sample-".length()));
            require(number % 8 == 0);
          }
          System.gc();
          Runtime runtime = Runtime.getRuntime();
          System.out.println(millis + " " + (runtime.totalMemory() - runtime.freeMemory() >> 20));
        }
      }
    }

    private static void require(boolean condition) {
      if (!condition) {
        throw new IllegalStateException();
      }
    }
  }
}
