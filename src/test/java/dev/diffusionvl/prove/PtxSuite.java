// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/** The kernel tests on the very PTX that nvcc made for GPUs: the emulated device interprets it. */
final class PtxSuite {
  /** Runs of the product take kernels from PTX while this is {@code ptx}. */
  private static final String KERNELS = "dvl.emulated.kernels";
  private static final Path FOLDER = Path.of(System.getProperty("dvl.native.dir", "target/native"), "kernels/ptx");
  private static final Pattern ENTRY = Pattern.compile("\\.entry (\\w+)\\(");

  /**
   * What a GPU is free to do in another way than the host modules: the order of blocks, warps and lanes, the time of asynchronous copies,
   * the order of the sums in an mma, and approximate operations within their documented error. It does each the same way every time, so
   * equality of bits that the tests assert holds: the same instructions on the same values give the same bits.
   */
  static final List<String> PERTURBED = List.of(
      "sched=rev,cp=eager,mma=1,approx=1",
      "sched=rand,cp=rand,seed=7,mma=2,approx=2",
      "sched=rand,cp=rand,seed=8,mma=3,approx=3");

  /** As on the host modules. */
  static final String PLAIN = "sched=fwd,cp=defer,mma=0,approx=0";

  /**
   * What came out.
   *
   * @param failures of tests
   * @param ran names of the kernels that were launched
   */
  record Result(List<String> failures, SortedSet<String> ran) {}

  private PtxSuite() {}

  /** Names of all kernels of the product in PTX; empty when the build had no nvcc. */
  static SortedSet<String> kernels() {
    SortedSet<String> names = new TreeSet<>();
    try {
      for (String source : Proof.kernels()) {
        Path file = FOLDER.resolve(source + ".ptx");
        if (Files.exists(file)) {
          ENTRY.matcher(Files.readString(file)).results().map((MatchResult m) -> m.group(1)).forEach(names::add);
        }
      }
      return names;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Runs the kernel tests, or the golden cases. */
  static Result run(String options, boolean goldens) {
    String before = System.getProperty(KERNELS);
    System.setProperty(KERNELS, "ptx");
    try {
      Device.open(DeviceSpec.parse("emulated")).close(); // loads the library whose options are set
      Emulator.set(options + ",preempt=0,sticky=0,stderr=0");
      List<KernelSuite.Outcome> outcomes = goldens ? KernelSuite.runGoldens() : KernelSuite.runAll();
      List<String> failures = new ArrayList<>();
      SortedSet<String> ran = new TreeSet<>();
      for (KernelSuite.Outcome outcome : outcomes) {
        ran.addAll(outcome.kernels());
        if (outcome.failure() != null) {
          failures.add(outcome.name() + ": " + outcome.failure());
        }
      }
      if (outcomes.isEmpty()) {
        failures.add("no test was found");
      }
      return new Result(failures, ran);
    } finally {
      Emulator.set(PLAIN + ",sticky=1,stderr=1");
      if (before == null) {
        System.clearProperty(KERNELS);
      } else {
        System.setProperty(KERNELS, before);
      }
    }
  }
}
