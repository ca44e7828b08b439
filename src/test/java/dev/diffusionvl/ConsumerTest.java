// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.jar.Attributes;
import java.util.jar.JarFile;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;

/**
 * The finished jars, as a program that depends on them meets them: installed into an empty local repository, from which the program in
 * src/test/consumer is built and run. Needs what {@code mvn package} makes, so it runs after that phase and not with the other tests.
 */
@EnabledIfSystemProperty(named = "dvl.consumer.version", matches = ".+", disabledReason = "runs in mvn verify, when the jars are there")
class ConsumerTest {
  private static final Path OUT = FinishedJars.WORK.resolve("build");
  private static final String NATIVE_ACCESS = "--enable-native-access=ALL-UNNAMED";
  static final String TEXT =
      "The image shows 2 shapes. A large pink square is at the top right. A small green cross is at the bottom left.\n";
  private static final String MODEL = "samples/models/diffusionvl-tiny";
  private static final String IMAGE = "samples/images/square-and-cross.png";

  @BeforeAll
  static void installAndBuild() throws IOException, InterruptedException {
    FinishedJars.install("src/test/consumer/pom.xml", OUT, Duration.ofMinutes(5), "package");
  }

  private static String java(String... options) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of(System.getProperty("java.home") + "/bin/java", "-XX:TieredStopAtLevel=1",
        "-Djava.awt.headless=true"));
    Collections.addAll(command, options);
    return FinishedJars.run(command);
  }

  private static List<String> libraries() throws IOException {
    try (Stream<Path> files = Files.list(OUT.resolve("lib"))) {
      return files.map(Path::toString).sorted().toList();
    }
  }

  @Test
  void onTheClassPath() throws Exception {
    String path = OUT.resolve("consumer-1.jar") + File.pathSeparator + OUT.resolve("lib") + "/*";
    assertEquals(TEXT, java(NATIVE_ACCESS, "-cp", path, "consumer.Describe", MODEL, IMAGE));
  }

  @Test
  void onTheModulePath() throws Exception {
    String path = OUT.resolve("consumer-1.jar") + File.pathSeparator + OUT.resolve("lib");
    assertEquals(TEXT, java("--illegal-native-access=deny", "--enable-native-access=dev.diffusionvl,jcuda,jcublas", "-p", path, "-m",
        "consumer/consumer.Describe", MODEL, IMAGE));
  }

  @Test
  void inOneJar() throws Exception {
    assertEquals(TEXT, java("-jar", OUT.resolve("consumer-1-all.jar").toString(), MODEL, IMAGE));
  }

  /** First one copy, then the other, then both at once. */
  @Test
  void twiceInOneProcess() throws Exception {
    List<String> options = new ArrayList<>(List.of(NATIVE_ACCESS, "-cp", OUT.resolve("consumer-1.jar").toString(), "consumer.TwoLoaders",
        MODEL, IMAGE, OUT.resolve("consumer-1.jar").toString()));
    options.addAll(libraries());
    assertEquals(TEXT.repeat(4), java(options.toArray(String[]::new)));
  }

  @Test
  void aProgramGetsWhatTheLibraryNeedsAndNoMore() throws IOException {
    Set<String> names = libraries().stream().map(l -> Path.of(l).getFileName().toString().replaceAll("-[0-9].*", ""))
        .collect(Collectors.toCollection(TreeSet::new));
    assertEquals("[automaton, diffusionvl, jackson-core, jcublas, jcublas-natives, jcuda, jcuda-natives, jcudnn, jcudnn-natives]",
        names.toString());
  }

  @Test
  void eachJarHoldsItsPart() throws IOException {
    List<String> library = entries("");
    assertTrue(library.contains("dev/diffusionvl/model/DiffusionVl.class"));
    assertTrue(library.contains("dvl/native/emulated/libcuda.so.1"));
    assertTrue(library.contains("META-INF/versions/25/module-info.class"));
    List<String> programs = entries("-cli");
    assertTrue(programs.contains("dev/diffusionvl/cli/Dvl.class"));
    List<String> both = new ArrayList<>(library);
    both.retainAll(programs);
    assertEquals(List.of(), both.stream().filter(name -> name.endsWith(".class")).toList());
    assertEquals(List.of(), library.stream().filter(name -> name.matches("dev/diffusionvl/(cli|bench|eval|samples|server)/.*")).toList());
    assertTrue(entries("-sources").contains("dev/diffusionvl/model/DiffusionVl.java"));
    assertTrue(entries("-javadoc").contains("dev/diffusionvl/model/DiffusionVl.html"));
  }

  private static List<String> entries(String classifier) throws IOException {
    try (JarFile jar = new JarFile(FinishedJars.jar(classifier).toFile())) {
      return jar.stream().map(entry -> entry.getName()).filter(name -> !name.endsWith("/")).toList();
    }
  }

  /** The version stands in the POM; everything else has it from there. */
  @Test
  void oneVersion() throws Exception {
    for (String classifier : List.of("", "-cli")) {
      try (JarFile jar = new JarFile(FinishedJars.jar(classifier).toFile())) {
        assertEquals(FinishedJars.VERSION, jar.getManifest().getMainAttributes().getValue(Attributes.Name.IMPLEMENTATION_VERSION));
      }
    }
    assertEquals("dvl " + FinishedJars.VERSION + "\n", FinishedJars.run(List.of(System.getProperty("java.home") + "/bin/java", "-jar",
        FinishedJars.jar("-cli").toString(), "--version")));
  }
}
