// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;

/** The project samples/spark on the finished jars: it builds, and the line of its page runs; in the profile nightly its own tests do. */
@EnabledIfSystemProperty(named = "dvl.consumer.version", matches = ".+", disabledReason = "runs in mvn verify, when the jars are there")
class SparkSampleTest {
  private static final String POM = "samples/spark/pom.xml";
  private static final Path OUT = FinishedJars.BUILD.resolve("spark");

  @Test
  void buildsAndRuns() throws Exception {
    assumeTrue(!FinishedJars.OFFLINE || Files.exists(FinishedJars.NEAR.resolve("org/apache/spark/spark-mllib_2.13")),
        "Maven is offline and has no Spark");
    if (System.getProperty("dvl.spark").equals("all")) {
      FinishedJars.install(POM, OUT, Duration.ofMinutes(40), "verify");
    } else {
      FinishedJars.install(POM, OUT, Duration.ofMinutes(10), "-DskipTests", "package");
    }
    Path answers = FinishedJars.WORK.resolve("answers");
    deleteTree(answers);
    String line = localLine().replace("target/answers", answers.toString()).replace("target/spark", OUT.toString());
    String printed = submit(line);
    assertTrue(printed.contains("3 rows, 0 with an error") && printed.contains("3 rows answered"), printed);
    assertTrue(printed.contains("|" + ConsumerTest.TEXT.strip() + " "), () -> "the command line answers otherwise: " + ConsumerTest.TEXT);
    printed = submit(line + " --resume");
    assertTrue(printed.contains("0 rows answered"), printed);
  }

  private static String submit(String line) throws IOException, InterruptedException {
    return FinishedJars.run(List.of("env", "SPARK_HOME=" + OUT.resolve("home"),
        "JAVA_TOOL_OPTIONS=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC", "bash", "-c", line));
  }

  /** The line for who has no Spark. */
  private static String localLine() throws IOException {
    return Files.readAllLines(Path.of("samples/spark/README.md")).stream().filter(line -> line.startsWith("samples/spark/submit "))
        .findFirst().orElseThrow();
  }

  private static void deleteTree(Path folder) throws IOException {
    if (Files.exists(folder)) {
      try (Stream<Path> files = Files.walk(folder)) {
        files.map(Path::toFile).sorted((a, b) -> b.compareTo(a)).forEach(File::delete);
      }
    }
  }

  /** Of the library of this build, unless another is asked for. */
  @Test
  void namesTheLibrarysVersion() throws IOException {
    Matcher version = Pattern.compile("<diffusionvl.version>(.*)</diffusionvl.version>").matcher(Files.readString(Path.of(POM)));
    assertTrue(version.find());
    assertEquals(FinishedJars.VERSION, version.group(1));
  }

  @Test
  void theLibraryHasNothingOfSpark() {
    List<String> jars = Stream.of(System.getProperty("java.class.path").split(File.pathSeparator))
        .map(jar -> Path.of(jar).getFileName().toString()).toList();
    assertTrue(jars.stream().anyMatch(jar -> jar.startsWith("jcuda")), jars.toString());
    assertEquals(List.of(), jars.stream().filter(jar -> jar.matches("(spark|scala|hadoop)-.*")).toList());
  }
}
