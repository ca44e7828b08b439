// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
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
  private static final String VERSION = System.getProperty("dvl.consumer.version");
  private static final Path BUILD = Path.of(System.getProperty("dvl.consumer.build", "target")).toAbsolutePath();
  private static final Path WORK = BUILD.resolve("consumer");
  private static final Path OUT = WORK.resolve("build");
  private static final String NATIVE_ACCESS = "--enable-native-access=ALL-UNNAMED";
  private static final String TEXT =
      "The image shows 2 shapes. A large pink square is at the top right. A small green cross is at the bottom left.\n";
  private static final String MODEL = "samples/models/diffusionvl-tiny";
  private static final String IMAGE = "samples/images/square-and-cross.png";

  private static Path jar(String classifier) {
    return BUILD.resolve("diffusionvl-" + VERSION + classifier + ".jar");
  }

  @BeforeAll
  static void installAndBuild() throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of(System.getProperty("dvl.consumer.maven"), "-B", "-q", "-f", "src/test/consumer/pom.xml",
        "-Dmaven.repo.local=" + WORK.resolve("repository"),
        "-Dnear.repository=" + Path.of(System.getProperty("dvl.consumer.near")).toUri(),
        "-Dbuild.dir=" + OUT, "-Ddiffusionvl.version=" + VERSION,
        "org.apache.maven.plugins:maven-install-plugin:3.1.4:install-file", "-DpomFile=" + Path.of("pom.xml").toAbsolutePath(),
        "-Dfile=" + jar(""), "-Dsources=" + jar("-sources"), "-Djavadoc=" + jar("-javadoc"), "package"));
    if (System.getProperty("dvl.consumer.settings").equals("offline=true")) {
      command.addAll(List.of("-o", "-Daether.offline.protocols=file"));
    }
    run(command);
  }

  /** Runs a command, which must end well, and returns what it printed. */
  private static String run(List<String> command) throws IOException, InterruptedException {
    Files.createDirectories(WORK);
    Path out = WORK.resolve("stdout");
    Path err = WORK.resolve("stderr");
    ProcessBuilder builder = new ProcessBuilder(command).redirectOutput(out.toFile()).redirectError(err.toFile());
    builder.environment().put("JAVA_HOME", System.getProperty("java.home")); // the JDK of this build; the PATH may have an older one
    Process process = builder.start();
    boolean ended = process.waitFor(300, TimeUnit.SECONDS);
    process.destroyForcibly();
    assertTrue(ended, () -> "did not end: " + command);
    String text = Files.readString(out);
    assertEquals(0, process.exitValue(), () -> command + "\n" + text + read(err));
    return text;
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      return e.toString();
    }
  }

  private static String java(String... options) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of(System.getProperty("java.home") + "/bin/java", "-XX:TieredStopAtLevel=1",
        "-Djava.awt.headless=true"));
    Collections.addAll(command, options);
    return run(command);
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
    try (JarFile jar = new JarFile(jar(classifier).toFile())) {
      return jar.stream().map(entry -> entry.getName()).filter(name -> !name.endsWith("/")).toList();
    }
  }

  /** The version stands in the POM; everything else has it from there. */
  @Test
  void oneVersion() throws Exception {
    for (String classifier : List.of("", "-cli")) {
      try (JarFile jar = new JarFile(jar(classifier).toFile())) {
        assertEquals(VERSION, jar.getManifest().getMainAttributes().getValue(Attributes.Name.IMPLEMENTATION_VERSION));
      }
    }
    assertEquals("dvl " + VERSION + "\n", run(List.of(System.getProperty("java.home") + "/bin/java", "-jar", jar("-cli").toString(),
        "--version")));
  }
}
