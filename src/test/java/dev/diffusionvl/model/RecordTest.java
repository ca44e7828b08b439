// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.diffusionvl.prove.Emulator;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A change that is not meant to change what is computed changes no bit and no launch: the golden cases under several switches against
 * src/test/resources/record.txt. {@code -Ddvl.record=FILE -Ddvl.switches=all} writes what a run did to a file of that form; a change that
 * is meant to change launches or bits comes with a new record.
 *
 * <p>Bits are those of one compiler (its contraction of a·b + c); under another one the tokens of f32 and the launches must still be the
 * recorded ones.
 */
class RecordTest extends DemoModelTest {
  private static final Path RECORD = Path.of("src/test/resources/record.txt");
  private static final Map<String, List<String>> WRITTEN = new LinkedHashMap<>();
  private static Map<String, List<String>> recorded;

  /** What one generation is made with. */
  private record Way(GoldenCase golden, DType dtype, GemmChoice gemm, boolean graphs, boolean fusedStore, int speculate) {
    /** Names that the record keeps, whatever the classes come to be called. */
    String title() {
      return "%s %s %s graphs %b fused store %b speculate %d".formatted(golden.name(), dtype, gemm, graphs, fusedStore, speculate);
    }

    @Override
    public String toString() {
      return title();
    }

    /** Every launch is spelt out: without images to encode, and with one. */
    boolean spelt() {
      return golden.name().startsWith("p4") || golden.name().startsWith("p3") && gemm == GemmChoice.CUBLAS && !fusedStore;
    }
  }

  /** What takes its time on the emulated device (our own products, images in f32) is for {@code -Ddvl.switches=all}. */
  static List<Way> ways() {
    boolean all = System.getProperty("dvl.switches", "few").equals("all");
    List<Way> ways = new ArrayList<>();
    for (GoldenCase golden : cases()) {
      boolean quick = golden.name().startsWith("p4");
      ways.add(new Way(golden, DType.F32, GemmChoice.CUBLAS, false, false, 0));
      ways.add(new Way(golden, DType.BF16, GemmChoice.CUBLAS, false, false, 0));
      ways.add(new Way(golden, DType.BF16, GemmChoice.CUBLAS, true, false, 3));
      if (all || quick) {
        ways.add(new Way(golden, DType.F32, GemmChoice.CUBLAS, true, true, 3));
        ways.add(new Way(golden, DType.BF16, GemmChoice.OWN, false, false, 3));
        ways.add(new Way(golden, DType.BF16, GemmChoice.OWN, true, true, 0));
      }
      if (all) {
        ways.add(new Way(golden, DType.F32, GemmChoice.OWN, false, true, 0));
      }
    }
    return ways;
  }

  @ParameterizedTest
  @MethodSource("ways")
  void noBitAndNoLaunchHasChanged(Way way) throws IOException {
    assumeTrue(Emulator.present(), "the record is the emulated device's");
    Execution execution = new Execution(way.graphs, way.fusedStore, way.speculate);
    RecordedRun run;
    try (Session session = (way.dtype == DType.F32 ? f32 : bf16).newSession(way.gemm)) {
      run = RecordedRun.of(session, way.golden.request(), way.golden.options(false).withExecution(execution));
    }
    List<String> lines = new ArrayList<>(List.of(run.tokens(), run.launches()));
    lines.addAll(run.bits());
    if (way.spelt()) {
      lines.addAll(run.spelt());
    }
    if (System.getProperty("dvl.record") != null) {
      WRITTEN.put(way.title(), lines);
      return;
    }
    List<String> expected = recorded().get(way.title());
    assertNotNull(expected, "the record has no " + way);
    if (compiler().equals(recorded().get("compiler"))) {
      assertEquals(String.join("\n", expected), String.join("\n", lines), way.title());
    } else if (way.dtype == DType.F32) {
      assertEquals(expected.subList(0, 2), lines.subList(0, 2), way.title());
    }
  }

  static List<Way> ownWays() {
    return ways().stream().filter(way -> way.gemm == GemmChoice.OWN && way.dtype == DType.BF16 && way.golden.name().startsWith("p4"))
        .toList();
  }

  /** Products whose weights come by cp.async, not by bulk copies as in the record: as many launches, its tokens and bits; in graphs too. */
  @ParameterizedTest
  @MethodSource("ownWays")
  void withoutBulkCopiesTheSameBits(Way way) throws IOException {
    assumeTrue(Emulator.present(), "the record is the emulated device's");
    assumeTrue(System.getProperty("dvl.record") == null && compiler().equals(recorded().get("compiler")), "bits are one compiler's");
    assumeTrue(SkinnyWorkspace.bulkByDefault(), "this run is without bulk copies");
    System.setProperty(SkinnyWorkspace.BULK, "false");
    try (Session session = bf16.newSession(way.gemm)) {
      RecordedRun run = RecordedRun.of(session, way.golden.request(),
          way.golden.options(false).withExecution(new Execution(way.graphs, way.fusedStore, way.speculate)));
      List<String> expected = recorded().get(way.title());
      assertEquals(expected.getFirst(), run.tokens());
      assertEquals(count(expected.get(1)), count(run.launches()));
      assertEquals(expected.subList(2, 2 + run.bits().size()), run.bits());
      for (String op : List.of("skinny_qkv", "skinny_residual", "skinny_swiglu", "skinny_confidence")) {
        assertTrue(run.spelt().stream().anyMatch(line -> line.contains(op + "_m8_bf16 ")), op);
        assertTrue(expected.stream().anyMatch(line -> line.contains(op + "_m8_bf16_ring ")) || !way.spelt(), op);
      }
    } finally {
      System.clearProperty(SkinnyWorkspace.BULK);
    }
  }

  /** Of a line of launches: how many, without what they were. */
  private static String count(String launches) {
    return launches.substring(0, launches.lastIndexOf(' '));
  }

  private static Map<String, List<String>> recorded() throws IOException {
    if (recorded == null) {
      recorded = new LinkedHashMap<>();
      List<String> section = new ArrayList<>();
      for (String line : Files.exists(RECORD) ? Files.readAllLines(RECORD) : List.<String>of()) {
        if (line.startsWith("= ")) {
          section = new ArrayList<>();
          recorded.put(line.substring(2), section);
        } else if (!line.startsWith("#")) {
          section.add(line);
        }
      }
    }
    return recorded;
  }

  /** The compilers of the emulated device and its kernels. */
  private static List<String> compiler() throws IOException {
    Path library = Path.of(System.getProperty("dvl.native.dir", "target/native")).resolve("emulated/libcublas.so.12");
    Matcher matcher = Pattern.compile("GCC: \\([^)]*\\) [0-9.]+|clang version [0-9.]+")
        .matcher(new String(Files.readAllBytes(library), StandardCharsets.ISO_8859_1));
    return matcher.results().map(r -> r.group()).distinct().sorted().toList();
  }

  @AfterAll
  static void write() throws IOException {
    String file = System.getProperty("dvl.record");
    if (file == null) {
      return;
    }
    List<String> lines = new ArrayList<>(List.of("# See RecordTest. Bits and launches of the golden cases on the emulated device.",
        "= compiler"));
    lines.addAll(compiler());
    WRITTEN.forEach((title, section) -> {
      lines.add("= " + title);
      lines.addAll(section);
    });
    Files.write(Path.of(file), lines);
  }
}
