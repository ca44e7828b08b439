// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.LeakTracker;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.stream.Stream;

/** The main program behind {@code cuda/prove}: every kernel test in four schedules of the check build, then every mutant. */
public final class Proof {
  private List<KernelSuite.Outcome> passed;
  private int races;

  /** Every kernel's file in cuda/, without its ending. */
  static List<String> kernels() {
    try (Stream<Path> files = Files.list(Mutant.CUDA)) {
      return files.map(f -> f.getFileName().toString()).filter(f -> f.endsWith(".cu")).map(f -> f.replace(".cu", "")).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Runs the kernel tests; returns what failed: a wrong result, a finding of the device, or memory that was not freed. */
  List<String> check(Schedule schedule) {
    return check(schedule, List.of());
  }

  /** The same for the tests that launch these kernels, as far as that is known from an earlier schedule; none named: all tests. */
  private List<String> check(Schedule schedule, List<String> wanted) {
    Device.open(DeviceSpec.parse("emulated")).close(); // loads the library whose options are set
    Emulator.set(schedule.options());
    List<KernelSuite.Outcome> outcomes = kernelTests(wanted);
    List<String> failures = new ArrayList<>(KernelSuite.failures(outcomes));
    failures.addAll(LeakTracker.report());
    if (Emulator.reportLeaks() > 0) {
      failures.addAll(Emulator.takeFindings());
    }
    if (passed == null && failures.isEmpty()) {
      passed = outcomes;
    }
    for (String line : String.join("\n", failures).split("\n")) {
      races += line.startsWith("kernel ") && line.contains(": race") ? 1 : 0;
    }
    return failures;
  }

  /** Whether the kernel tests pass ({@link #check(Schedule, List)}); says so, or what failed. */
  boolean passes(Schedule schedule, List<String> wanted) {
    long start = System.nanoTime();
    List<String> failures = check(schedule, wanted);
    say("kernel tests, %s: %s (%.0f s)", schedule, failures.isEmpty() ? "ok" : failures.size() + " FAILED",
        (System.nanoTime() - start) / 1e9);
    failures.forEach(f -> say("  %s", f.replace("\n", "\n    ")));
    return failures.isEmpty();
  }

  private List<KernelSuite.Outcome> kernelTests(List<String> wanted) {
    return wanted.isEmpty() || passed == null ? KernelSuite.runAll()
        : KernelSuite.run(passed.stream().filter(t -> t.ops().stream().anyMatch(wanted::contains)).toList());
  }

  /** The tests of the first schedule that passed as a whole. */
  List<KernelSuite.Outcome> passed() {
    if (passed == null) {
      throw new IllegalStateException("the kernel tests have not passed on the shipped kernels");
    }
    return passed;
  }

  private static void say(String format, Object... arguments) {
    System.out.printf(Locale.ROOT, format + "%n", arguments);
  }

  /** Ends the process when a mutant never ends: native code cannot be interrupted. */
  private static Thread watch(Mutant mutant) {
    return Thread.ofVirtual().start(() -> {
      try {
        Thread.sleep(900_000); // a busy machine takes minutes for what takes seconds
        say("%s does not end; killed cannot be told from hung. Choose another bug.", mutant);
        Runtime.getRuntime().halt(2);
      } catch (InterruptedException e) {
        // it ended in time
      }
    });
  }

  /** The first line, and the first finding of the device if there is one. */
  private static String brief(String how) {
    List<String> lines = how.lines().toList();
    return lines.getFirst() + lines.stream().filter(l -> l.startsWith("kernel ")).findFirst().map(l -> "\n       " + l).orElse("");
  }

  /**
   * The kernel tests and the golden cases on PTX, for some kernels their own tests in one order; returns the outcomes of tests that all
   * passed, and else nothing.
   */
  private List<KernelSuite.Outcome> provePtx(SortedSet<String> kernels, List<String> wanted) {
    List<KernelSuite.Outcome> outcomes = List.of();
    boolean good = true;
    for (String options : wanted.isEmpty() ? PtxSuite.variants() : List.of(PtxSuite.PLAIN)) {
      for (boolean goldens : wanted.isEmpty() ? List.of(false, true) : List.of(false)) {
        long start = System.nanoTime();
        PtxSuite.Result result = PtxSuite.run(options, goldens ? KernelSuite::runGoldens : () -> kernelTests(wanted));
        List<String> failures = result.failures();
        say("PTX, %s, %s: %s (%.0f s)", goldens ? "golden cases" : "kernel tests", options,
            failures.isEmpty() ? "ok" : failures.size() + " FAILED", (System.nanoTime() - start) / 1e9);
        failures.forEach(f -> say("  %s", f.replace("\n", "\n    ")));
        good &= failures.isEmpty();
        if (!goldens && options.equals(PtxSuite.PLAIN)) {
          outcomes = result.outcomes();
          List<String> missing = kernels.stream().filter(k -> !result.ran().contains(k)).toList();
          if (!missing.isEmpty()) {
            say("no kernel test launches %s in PTX", missing);
            good = false;
          }
        }
      }
    }
    return good ? outcomes : List.of();
  }

  private boolean run(List<String> wanted) throws IOException, InterruptedException {
    List<Mutant> mutants = Mutant.all(Mutant.CUDA).stream().filter(m -> wanted.isEmpty() || wanted.contains(m.op())).toList();
    List<String> kernels = kernels().stream().filter(k -> wanted.isEmpty() || wanted.contains(k)).toList();
    boolean good = true; // every kernel has tests and mutants
    for (String kernel : kernels) {
      if (mutants.stream().noneMatch(m -> m.op().equals(kernel))) {
        say("%s has no mutants (cuda/proof/mutants/%s.mutants)", kernel, kernel);
        good = false;
      }
    }
    if (wanted.isEmpty()) {
      List<KernelSuite.Outcome> gates = KernelSuite.runGates();
      List<KernelSuite.Outcome> failed = gates.stream().filter(o -> o.failure() != null).toList();
      long skipped = gates.stream().filter(KernelSuite.Outcome::skipped).count();
      say("static gates: %s%s", failed.isEmpty() ? "ok" : failed.size() + " FAILED",
          skipped == 0 ? "" : ", " + skipped + " of " + gates.size() + " skipped: no GPU kernels in this build");
      failed.forEach(f -> say("  %s: %s", f.name(), f.failure()));
      good &= failed.isEmpty();
    }
    SortedSet<String> ptx = PtxSuite.kernels(kernels);
    MutantRunner.build(mutants, ptx.isEmpty() ? new MutantRunner.Form[] {MutantRunner.Form.HOST_MODULE} : MutantRunner.Form.values());
    boolean clean = true;
    for (Schedule schedule : Schedule.all()) {
      clean &= passes(schedule, wanted);
      if (passed != null && schedule.equals(Schedule.FORWARD)) {
        passed.stream().sorted(Comparator.comparingLong(KernelSuite.Outcome::millis).reversed()).limit(8)
            .forEach(t -> say("  %.1f s %s", t.millis() / 1e3, t.name()));
      }
    }
    List<MutantRunner> runners = new ArrayList<>();
    SortedSet<String> ran = new TreeSet<>();
    if (clean) { // else a failing test says nothing about a mutant
      runners.add(new MutantRunner(MutantRunner.Form.HOST_MODULE, passed));
    }
    if (ptx.isEmpty()) {
      say("no PTX in this build (nvcc was not found): what is shipped for GPUs was not run");
    } else if (clean) {
      List<KernelSuite.Outcome> outcomes = provePtx(ptx, wanted);
      outcomes.forEach(o -> ran.addAll(o.kernels()));
      ran.retainAll(ptx);
      good &= !outcomes.isEmpty();
      if (good) {
        runners.add(new MutantRunner(MutantRunner.Form.PTX, outcomes));
      }
    }
    for (String kernel : kernels) {
      if (clean && runners.getFirst().testsOf(kernel).isEmpty()) {
        say("no kernel test launches %s", kernel);
        good = false;
      }
    }
    int killed = 0;
    for (Mutant mutant : clean ? mutants : List.<Mutant>of()) {
      killed += killed(mutant, runners) ? 1 : 0;
    }
    say("kernels %d, mutants %d/%d killed, races %d, ptx %d/%d", kernels.size(), killed, mutants.size(), races, ran.size(), ptx.size());
    return good && clean && killed == mutants.size();
  }

  /** Whether a mutant is killed in every form. */
  private static boolean killed(Mutant mutant, List<MutantRunner> runners) throws IOException {
    boolean killed = true;
    for (MutantRunner runner : runners) {
      Thread watchdog = watch(mutant);
      MutantRunner.Verdict verdict = runner.run(mutant);
      watchdog.interrupt();
      killed &= verdict.killed();
      say("%s %s (%s, %.1f s): %s", verdict.killed() ? "killed" : "ALIVE ", mutant, runner.form(), verdict.millis() / 1e3,
          brief(verdict.how()));
    }
    return killed;
  }

  /** Arguments: names of kernels (default: all of them). */
  public static void main(String[] kernels) throws Exception {
    boolean good = new Proof().run(Arrays.asList(kernels));
    System.out.flush();
    System.exit(good ? 0 : 1);
  }
}
