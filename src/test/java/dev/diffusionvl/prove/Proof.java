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
    List<KernelSuite.Outcome> outcomes = wanted.isEmpty() || passed == null ? KernelSuite.runAll()
        : KernelSuite.run(passed.stream().filter(t -> t.ops().stream().anyMatch(wanted::contains)).toList());
    List<String> failures = new ArrayList<>();
    outcomes.stream().filter(o -> o.failure() != null).forEach(o -> failures.add(o.name() + ": " + o.failure()));
    if (outcomes.isEmpty()) {
      failures.add("no kernel test was found");
    }
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

  /** The kernel tests and the golden cases on PTX; {@code ran} gets the kernels that ran in tests that all passed. */
  private boolean provePtx(SortedSet<String> kernels, SortedSet<String> ran) {
    if (kernels.isEmpty()) {
      say("no PTX in this build (nvcc was not found): what is shipped for GPUs was not run");
      return true;
    }
    boolean good = true;
    List<String> variants = new ArrayList<>(List.of(PtxSuite.PLAIN));
    variants.addAll(PtxSuite.PERTURBED);
    for (String options : variants) {
      for (boolean goldens : new boolean[] {false, true}) {
        long start = System.nanoTime();
        PtxSuite.Result result = PtxSuite.run(options, goldens);
        say("PTX, %s, %s: %s (%.0f s)", goldens ? "golden cases" : "kernel tests", options,
            result.failures().isEmpty() ? "ok" : result.failures().size() + " FAILED", (System.nanoTime() - start) / 1e9);
        result.failures().forEach(f -> say("  %s", f.replace("\n", "\n    ")));
        good &= result.failures().isEmpty();
        if (!goldens && options.equals(PtxSuite.PLAIN)) {
          ran.addAll(result.ran());
        }
      }
    }
    ran.retainAll(kernels);
    if (!good) {
      ran.clear();
    } else if (!ran.equals(kernels)) {
      say("no kernel test launches %s in PTX", kernels.stream().filter(k -> !ran.contains(k)).toList());
      good = false;
    }
    return good;
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
    MutantRunner.build(mutants);
    boolean clean = true;
    for (Schedule schedule : Schedule.all()) {
      long start = System.nanoTime();
      List<String> failures = check(schedule, wanted);
      say("kernel tests, %s: %s (%.0f s)", schedule, failures.isEmpty() ? "ok" : failures.size() + " FAILED",
          (System.nanoTime() - start) / 1e9);
      if (passed != null && schedule.equals(Schedule.FORWARD)) {
        passed.stream().sorted(Comparator.comparingLong(KernelSuite.Outcome::millis).reversed()).limit(8)
            .forEach(t -> say("  %.1f s %s", t.millis() / 1e3, t.name()));
      }
      failures.forEach(f -> say("  %s", f.replace("\n", "\n    ")));
      clean &= failures.isEmpty();
    }
    SortedSet<String> ptx = new TreeSet<>();
    SortedSet<String> ran = new TreeSet<>();
    if (wanted.isEmpty()) {
      ptx.addAll(PtxSuite.kernels());
      good &= provePtx(ptx, ran);
    }
    int killed = 0;
    if (clean) { // else a failing test says nothing about a mutant
      MutantRunner runner = new MutantRunner(passed);
      for (String kernel : kernels) {
        if (runner.testsOf(kernel).isEmpty()) {
          say("no kernel test launches %s", kernel);
          good = false;
        }
      }
      for (Mutant mutant : mutants) {
        Thread watchdog = watch(mutant);
        MutantRunner.Verdict verdict = runner.run(mutant);
        watchdog.interrupt();
        killed += verdict.killed() ? 1 : 0;
        say("%s %s (%.1f s): %s", verdict.killed() ? "killed" : "ALIVE ", mutant, verdict.millis() / 1e3, brief(verdict.how()));
      }
    }
    say("kernels %d, mutants %d/%d killed, races %d, ptx %d/%d", kernels.size(), killed, mutants.size(), races, ran.size(), ptx.size());
    return good && clean && killed == mutants.size();
  }

  /** Arguments: names of kernels (default: all of them). */
  public static void main(String[] kernels) throws Exception {
    boolean good = new Proof().run(Arrays.asList(kernels));
    System.out.flush();
    System.exit(good ? 0 : 1);
  }
}
