// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What CUDA a driver offers and what this build's kernels need: a driver that is too old is refused in one line, before it is initialised
 * and before JCuda is loaded. The kernels themselves say what they need, by the version of their PTX.
 */
final class DriverVersion {
  /** A kernel that every build with nvcc has. */
  private static final String SAMPLE = "kernels/ptx/read_sum.ptx";

  private static final Pattern PTX_VERSION = Pattern.compile("(?m)^\\.version (\\d+)\\.(\\d+)");
  private static final Pattern RELEASE = Pattern.compile("\\b(\\d{3,}(?:\\.\\d+)+)\\b");

  /** The CUDA version whose nvcc writes a version of PTX 8, by its minor number; from PTX 9.0 on the minor numbers are equal. */
  private static final int[] CUDA_OF_PTX_8 = {0, 1, 2, 3, 4, 5, 7, 8, 9};

  /** The branch of drivers that a CUDA version came with, for messages. */
  private static final Map<Integer, String> BRANCHES = Map.ofEntries(Map.entry(11080, "r520"), Map.entry(12000, "r525"),
      Map.entry(12010, "r530"), Map.entry(12020, "r535"), Map.entry(12030, "r545"), Map.entry(12040, "r550"), Map.entry(12050, "r555"),
      Map.entry(12060, "r560"), Map.entry(12070, "r565"), Map.entry(12080, "r570"), Map.entry(12090, "r575"), Map.entry(13000, "r580"));

  private DriverVersion() {}

  /**
   * Refuses a loaded driver that cannot run this build's cubins, which need its major version of CUDA.
   *
   * @param file where the driver is, for the message
   * @throws DeviceUnavailableException naming what is there, what is needed and what to do
   */
  static void check(String file, SymbolLookup driver) {
    int needed = neededForPtx() / 1000 * 1000;
    int offered = offered(file, driver);
    if (offered < needed) {
      throw new DeviceUnavailableException("the NVIDIA driver is too old: this build's kernels need " + text(needed) + " or newer, " + file
          + " offers " + text(offered) + installed() + "; update the driver, or on a data-centre GPU install cuda-compat-" + needed / 1000
          + "-" + needed % 1000 / 10 + " and add -Ddvl.cuda.libs=" + CudaLibraries.compatibility());
    }
  }

  /** CUDA version, as 1000 · major + 10 · minor, whose driver compiles this build's PTX; 0 when the build has none. */
  static int neededForPtx() {
    byte[] ptx = NativeResources.bytes(SAMPLE);
    return ptx == null ? 0 : cudaOfPtx(new String(ptx, StandardCharsets.US_ASCII));
  }

  /** The CUDA version with which PTX came; 0 for a text without a version. */
  static int cudaOfPtx(String ptx) {
    Matcher version = PTX_VERSION.matcher(ptx);
    if (!version.find()) {
      return 0;
    }
    int major = Integer.parseInt(version.group(1));
    int minor = Integer.parseInt(version.group(2));
    int cuda = major == 8 ? CUDA_OF_PTX_8[Math.min(minor, CUDA_OF_PTX_8.length - 1)] : minor;
    return 1000 * (major + 4) + 10 * cuda; // PTX 8 came with CUDA 12, PTX 9 with CUDA 13
  }

  /** A version as messages write it, with the branch of drivers where it is known. */
  static String text(int version) {
    String branch = BRANCHES.get(version);
    return "CUDA " + version / 1000 + "." + version % 1000 / 10 + (branch == null ? "" : " (driver " + branch + ")");
  }

  /** Asks without cuInit, which would already touch the GPU. */
  private static int offered(String file, SymbolLookup driver) {
    MemorySegment function = driver.find("cuDriverGetVersion")
        .orElseThrow(() -> new DeviceUnavailableException(file + " has no function cuDriverGetVersion: it is no NVIDIA driver"));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment version = arena.allocate(ValueLayout.JAVA_INT);
      int status = (int) Linker.nativeLinker().downcallHandle(function, FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS))
          .invokeExact(version);
      if (status != 0) {
        throw new DeviceUnavailableException(file + " does not tell its version: cuDriverGetVersion returned " + status);
      }
      return version.get(ValueLayout.JAVA_INT, 0);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e); // downcalls throw nothing
    }
  }

  /** The release of the kernel's part of the driver, in brackets, where the system tells it. */
  private static String installed() {
    try {
      Matcher release = RELEASE.matcher(Files.readString(Path.of("/proc/driver/nvidia/version")));
      return release.find() ? ", release " + release.group(1) : "";
    } catch (IOException e) {
      return "";
    }
  }
}
