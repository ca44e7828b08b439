// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

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

  /** {@link #PLAIN}, then {@link #PERTURBED}. */
  static List<String> variants() {
    return Stream.concat(Stream.of(PLAIN), PERTURBED.stream()).toList();
  }

  /** What came out of tests. */
  record Result(List<KernelSuite.Outcome> outcomes) {
    /** What failed and how. */
    List<String> failures() {
      return KernelSuite.failures(outcomes);
    }

    /** Names of the kernels that were launched. */
    SortedSet<String> ran() {
      return outcomes.stream().flatMap(o -> o.kernels().stream()).collect(Collectors.toCollection(TreeSet::new));
    }
  }

  private PtxSuite() {}

  /** Names of all kernels of the product in PTX; empty when the build had no nvcc. */
  static SortedSet<String> kernels() {
    return kernels(Proof.kernels());
  }

  /** Names of the kernels of some files in cuda/. */
  static SortedSet<String> kernels(List<String> sources) {
    SortedSet<String> names = new TreeSet<>();
    try {
      for (String source : sources) {
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

  /** Runs tests, such as {@code KernelSuite::runAll}, on PTX. */
  static Result run(String options, Supplier<List<KernelSuite.Outcome>> tests) {
    String before = System.getProperty(KERNELS);
    System.setProperty(KERNELS, "ptx");
    try {
      Device.open(DeviceSpec.parse("emulated")).close(); // loads the library whose options are set
      Emulator.set(options + ",preempt=0,sticky=0,stderr=0");
      return new Result(tests.get());
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
