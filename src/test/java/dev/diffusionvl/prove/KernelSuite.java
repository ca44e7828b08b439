// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectMethod;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectPackage;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectUniqueId;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.platform.engine.DiscoverySelector;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.TestExecutionResult.Status;
import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherConfig;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/** Runs the kernel tests inside this process and notes which kernels each of them launches. */
final class KernelSuite {
  /** While this is true, tests take few sizes and draws (OpTest): they run as they are elsewhere. */
  private static final String FEW = "test.few";
  private static final List<DiscoverySelector> KERNEL_TESTS = List.of(selectPackage("dev.diffusionvl.runtime.op"),
      selectPackage("dev.diffusionvl.conformance"));

  /**
   * One test's result.
   *
   * @param id JUnit's unique id
   * @param name class and display name
   * @param failure null when it passed or was skipped
   * @param skipped it could not run here
   * @param ops files in cuda/ (without ending) whose kernels it launched
   * @param kernels names of these kernels
   * @param millis how long it took
   */
  record Outcome(String id, String name, String failure, boolean skipped, Collection<String> ops, Collection<String> kernels,
      long millis) {}

  private KernelSuite() {}

  /** What failed and how; it is a failure that there was no test. */
  static List<String> failures(List<Outcome> outcomes) {
    return outcomes.isEmpty() ? List.of("no test was found")
        : outcomes.stream().filter(o -> o.failure() != null).map(o -> o.name() + ": " + o.failure()).toList();
  }

  /** All kernel tests. */
  static List<Outcome> runAll() {
    return execute(KERNEL_TESTS);
  }

  /** The golden cases in f32, and in f16 by our own products where the margin allows. */
  static List<Outcome> runGoldens() {
    return execute(Stream.of("everyDecisionOfTheReferenceInF32", "sameTextInF16WithOwnProducts").map(method ->
        (DiscoverySelector) selectMethod("dev.diffusionvl.model.GoldenTest", method, "dev.diffusionvl.model.GoldenCase")).toList());
  }

  /** The static gates. */
  static List<Outcome> runGates() {
    return execute(List.of(selectPackage("dev.diffusionvl.gate")));
  }

  /** Some of them. */
  static List<Outcome> run(List<Outcome> tests) {
    return execute(tests.stream().map(t -> (DiscoverySelector) selectUniqueId(t.id())).toList());
  }

  /** These tests, in this order, until one fails. */
  static List<Outcome> runUntilFailure(List<Outcome> tests) {
    List<Outcome> done = new ArrayList<>();
    for (Outcome test : tests) { // one request each: a request has an order of its own
      done.addAll(run(List.of(test)));
      if (done.stream().anyMatch(o -> o.failure() != null)) {
        break;
      }
    }
    return done;
  }

  private static List<Outcome> execute(List<DiscoverySelector> selectors) {
    Launcher launcher = LauncherFactory.create(LauncherConfig.builder().enableTestExecutionListenerAutoRegistration(false).build());
    Recorder recorder = new Recorder();
    System.setProperty(FEW, "true");
    try {
      launcher.execute(LauncherDiscoveryRequestBuilder.request().selectors(selectors)
          .configurationParameter("junit.jupiter.execution.parallel.enabled", "false").build(), recorder);
    } finally {
      System.clearProperty(FEW);
    }
    return recorder.outcomes;
  }

  private static final class Recorder implements TestExecutionListener {
    final List<Outcome> outcomes = new ArrayList<>();
    private final Map<String, Long> started = new HashMap<>();

    @Override
    public void executionStarted(TestIdentifier test) {
      started.put(test.getUniqueId(), System.nanoTime());
      if (test.isTest() && Emulator.present()) {
        Emulator.takeLaunched();
      }
    }

    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
      boolean bad = result.getStatus() == Status.FAILED;
      if (!test.isTest() && !bad) {
        return;
      }
      Collection<String> ops = new TreeSet<>();
      Collection<String> kernels = new TreeSet<>();
      for (String kernel : Emulator.present() ? Emulator.takeLaunched() : List.<String>of()) {
        ops.add(kernel.replaceFirst("\\.cu .*", ""));
        kernels.add(kernel.substring(kernel.lastIndexOf(' ') + 1));
      }
      long millis = (System.nanoTime() - started.get(test.getUniqueId())) / 1_000_000;
      String name = test.getUniqueIdObject().getSegments().stream().filter(s -> s.getType().equals("class")).map(s -> s.getValue())
          .reduce("", (a, b) -> b).replaceFirst(".*\\.", "") + " " + test.getDisplayName();
      outcomes.add(new Outcome(test.getUniqueId(), name, bad ? text(result.getThrowable().orElseThrow()) : null,
          result.getStatus() == Status.ABORTED, ops, kernels, millis));
    }

    /** Messages of the failure, its causes and what came after it: the device's findings are among them. */
    private static String text(Throwable failure) {
      StringBuilder text = new StringBuilder();
      for (Throwable t = failure; t != null; t = t.getCause()) {
        text.append(text.isEmpty() ? "" : "\n").append(t);
        for (Throwable suppressed : t.getSuppressed()) {
          text.append('\n').append(suppressed);
        }
      }
      return text.toString();
    }
  }
}
