// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * Builds mutants for the check build, as host modules and as PTX, and runs against each the tests that launch its kernel, shortest first,
 * until one fails. The tests must have passed on the shipped kernels.
 */
final class MutantRunner {
  /** What a mutant is compiled to. */
  enum Form {
    /** By g++; the device must say what the mutant's entry demands. */
    HOST_MODULE("host module"),
    /** By nvcc; any failing test will do, because its instructions are in another order than the source's lines. */
    PTX("PTX");

    private final String text;

    Form(String text) {
      this.text = text;
    }

    @Override
    public String toString() {
      return text;
    }
  }

  /** Where the native build is, as the Maven build names it. */
  static final Path NATIVE = Path.of(System.getProperty("dvl.native.dir", "target/native"));

  private static final Path FOLDER = NATIVE.resolve("mutants");

  private final Form form;
  private final List<KernelSuite.Outcome> passed;

  /** @param passed the tests' outcomes on the shipped kernels in this form */
  MutantRunner(Form form, List<KernelSuite.Outcome> passed) {
    this.form = form;
    this.passed = passed;
  }

  /**
   * How a mutant fared.
   *
   * @param how the test and what it said, or why the mutant counts as alive
   */
  record Verdict(Mutant mutant, boolean killed, String how, long millis) {}

  /** Writes and compiles the mutants in all their forms; what is left of others is removed. */
  static void build(List<Mutant> mutants, Form... forms) throws IOException, InterruptedException {
    Files.createDirectories(FOLDER);
    List<String> ids = mutants.stream().map(Mutant::id).toList();
    try (Stream<Path> old = Files.list(FOLDER)) {
      for (Path folder : old.filter(f -> !ids.contains(f.getFileName().toString())).toList()) {
        try (Stream<Path> files = Files.walk(folder)) {
          files.sorted(Comparator.reverseOrder()).forEach(f -> f.toFile().delete());
        }
      }
    }
    for (Mutant mutant : mutants) {
      mutant.write(Mutant.CUDA, FOLDER);
    }
    for (Form form : forms) {
      Make.run(form == Form.PTX ? "mutants-ptx" : "mutants");
    }
  }

  Form form() {
    return form;
  }

  /** The tests of an operation, shortest first. */
  List<KernelSuite.Outcome> testsOf(String op) {
    return passed.stream().filter(t -> t.ops().contains(op)).sorted(Comparator.comparingLong(KernelSuite.Outcome::millis)).toList();
  }

  /** Runs the tests against a mutant that {@link #build} made: in forward order, and if that finds nothing in other ones. */
  Verdict run(Mutant mutant) throws IOException {
    long start = System.nanoTime();
    List<KernelSuite.Outcome> tests = testsOf(mutant.op());
    String how = tests.isEmpty() ? "no test launches " + mutant.op() : "all " + tests.size() + " tests pass";
    String finding = form == Form.HOST_MODULE ? mutant.finding() : null;
    boolean killed = false;
    System.setProperty("dvl.kernels", FOLDER.resolve(mutant.id()).toString());
    try {
      for (String order : form == Form.PTX ? PtxSuite.variants() : Schedule.all().stream().map(Schedule::options).toList()) {
        for (KernelSuite.Outcome test : runUntilFailure(order, tests)) {
          if (test.failure() != null) {
            how = test.name() + " (" + order + "): " + test.failure();
            killed = finding == null
                || test.failure().lines().anyMatch(l -> l.contains(finding) && l.contains(expectedPlace(mutant)));
          }
        }
        if (!how.startsWith("all ")) {
          break;
        }
      }
    } finally {
      System.clearProperty("dvl.kernels");
      Emulator.set(Schedule.FORWARD.options());
    }
    if (!killed && finding != null) {
      how = "expected '" + finding + "' at " + mutant.expectedPlace(Mutant.CUDA) + "; " + how;
    }
    return new Verdict(mutant, killed, how, (System.nanoTime() - start) / 1_000_000);
  }

  private List<KernelSuite.Outcome> runUntilFailure(String order, List<KernelSuite.Outcome> tests) {
    if (form == Form.PTX) {
      return PtxSuite.run(order, () -> KernelSuite.runUntilFailure(tests)).outcomes();
    }
    Emulator.set(order);
    return KernelSuite.runUntilFailure(tests);
  }

  private static String expectedPlace(Mutant mutant) {
    try {
      return " at " + mutant.expectedPlace(Mutant.CUDA) + ":";
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }
}
