// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A library that was loaded for the whole process, until it ends: for no class loader, so that each can use it, and none takes it away.
 *
 * @param soname its name
 * @param file where it is, for messages
 * @param symbols its functions
 */
record SharedLibrary(String soname, String file, SymbolLookup symbols) {

  /**
   * Loads the first candidate that loads and has these functions. A candidate that does not is passed over: on a machine with parts of two
   * CUDA versions the next one may be whole.
   *
   * @return null if there was none at all
   * @throws DeviceUnavailableException saying of each candidate why not
   */
  static SharedLibrary first(List<CudaLibraries.Candidate> candidates, List<String> functions) {
    Set<String> reasons = new LinkedHashSet<>();
    for (CudaLibraries.Candidate candidate : candidates) {
      SymbolLookup symbols = lookup(candidate, reasons);
      if (symbols != null) {
        String missing = functions.stream().filter(f -> symbols.find(f).isEmpty()).findFirst().orElse(null);
        if (missing == null) {
          return new SharedLibrary(candidate.soname(), mapped(candidate), symbols);
        }
        reasons.add(mapped(candidate) + " has no function " + missing + ", which is needed");
      }
    }
    if (reasons.isEmpty()) {
      return null;
    }
    throw new DeviceUnavailableException("no " + candidates.stream().map(CudaLibraries.Candidate::soname).distinct()
        .collect(Collectors.joining(" or ")) + " loads: " + String.join("; ", reasons));
  }

  /** Loads one file. @throws DeviceUnavailableException with what the system's loader says */
  static SharedLibrary of(Path file) {
    return first(List.of(new CudaLibraries.Candidate(file.getFileName().toString(), file)), List.of());
  }

  private static SymbolLookup lookup(CudaLibraries.Candidate candidate, Set<String> reasons) {
    if (candidate.file() == null) {
      try {
        return SymbolLookup.libraryLookup(candidate.soname(), Arena.global());
      } catch (IllegalArgumentException e) {
        return null; // the system's loader does not know the name
      }
    }
    Path file = candidate.file();
    // cuBLAS needs a second library of its own version, which lies beside it, where the system's loader may not look.
    Path light = file.resolveSibling(file.getFileName().toString().replace("libcublas.", "libcublasLt."));
    if (!light.equals(file) && Files.isRegularFile(light)) {
      lookup(new CudaLibraries.Candidate(light.getFileName().toString(), light), reasons);
    }
    try {
      return SymbolLookup.libraryLookup(file, Arena.global());
    } catch (IllegalArgumentException e) {
      reasons.add(file + " does not load: " + reason(file, e));
      return null;
    }
  }

  /** What the system's loader says of a library that does not load, which libraryLookup keeps to itself. */
  private static String reason(Path library, IllegalArgumentException absent) {
    try {
      System.load(library.toString());
      return absent.getMessage();
    } catch (UnsatisfiedLinkError e) {
      return e.getMessage().replace(library + ": ", "");
    }
  }

  /** Where the system's loader found a name: the file of that name in the process's memory, without following its link. */
  private static String mapped(CudaLibraries.Candidate candidate) {
    if (candidate.file() != null) {
      return candidate.file().toString();
    }
    String stem = "/" + candidate.soname();
    try (Stream<String> lines = Files.lines(Path.of("/proc/self/maps"))) {
      return lines.filter(line -> line.contains(stem)).map(line -> line.substring(line.indexOf('/'))).findFirst()
          .orElse(candidate.soname());
    } catch (IOException e) {
      return candidate.soname();
    }
  }
}
