// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/** Where the CUDA libraries of this machine are. Looks, never loads: a loaded libcuda stays loaded until the process ends. */
final class CudaLibraries {
  private CudaLibraries() {}

  /** Traces of an NVIDIA driver on this machine; empty when there is none. */
  static List<String> driverTraces() {
    List<String> traces = new ArrayList<>();
    for (String path : List.of("/proc/driver/nvidia/version", "/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg")) {
      if (Files.exists(Path.of(path))) {
        traces.add(path);
      }
    }
    return traces;
  }

  /**
   * The driver to use as a GPU's, or null: libcuda.so.1 in a folder of {@code -Ddvl.cuda.libs}, whose word is taken; else on the
   * rest of the search path, if the machine shows traces of a driver (a lone libcuda.so.1, as in a container image, drives
   * nothing).
   */
  static Path driver() {
    Set<Path> named = new LinkedHashSet<>();
    addAll(named, System.getProperty("dvl.cuda.libs"));
    for (Path folder : named) {
      if (Files.isRegularFile(folder.resolve("libcuda.so.1"))) {
        return folder.resolve("libcuda.so.1");
      }
    }
    return driverTraces().isEmpty() ? null : find("libcuda.so.1");
  }

  /** The first file of one of these names on the search path, or null. */
  static Path find(String... names) {
    for (String name : names) {
      for (Path folder : searchPath()) {
        Path file = folder.resolve(name);
        if (Files.isRegularFile(file)) {
          return file;
        }
      }
    }
    return null;
  }

  /**
   * Folders in search order: {@code -Ddvl.cuda.libs}, LD_LIBRARY_PATH, the system's library folders, the toolkit's usual folders,
   * and the folders in which Python wheels put CUDA libraries.
   */
  static List<Path> searchPath() {
    Set<Path> folders = new LinkedHashSet<>();
    addAll(folders, System.getProperty("dvl.cuda.libs"));
    addAll(folders, System.getenv("LD_LIBRARY_PATH"));
    for (String path : List.of("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/local/nvidia/lib64", "/usr/lib/wsl/lib")) {
      addFolder(folders, Path.of(path));
    }
    glob(folders, Path.of("/usr/local"), "cuda*", "lib64");
    glob(folders, Path.of("/usr/local"), "cuda*", "targets/x86_64-linux/lib");
    for (String root : List.of("/usr/lib", "/usr/local/lib", "/opt")) {
      glob(folders, Path.of(root), "python3*", "dist-packages/nvidia", "*", "lib");
      glob(folders, Path.of(root), "python3*", "site-packages/nvidia", "*", "lib");
    }
    String virtualEnv = System.getenv("VIRTUAL_ENV");
    if (virtualEnv != null) {
      glob(folders, Path.of(virtualEnv, "lib"), "python3*", "site-packages/nvidia", "*", "lib");
    }
    return List.copyOf(folders);
  }

  private static void addAll(Set<Path> folders, String list) {
    if (list != null) {
      for (String path : list.split(File.pathSeparator)) {
        if (!path.isBlank()) {
          addFolder(folders, Path.of(path));
        }
      }
    }
  }

  private static void addFolder(Set<Path> folders, Path folder) {
    if (Files.isDirectory(folder)) {
      folders.add(folder.toAbsolutePath());
    }
  }

  /** Expands steps below {@code root}; a step with a star matches names, any other is a plain sub-path. */
  private static void glob(Set<Path> folders, Path root, String... steps) {
    List<Path> level = List.of(root);
    for (String step : steps) {
      List<Path> next = new ArrayList<>();
      for (Path folder : level) {
        if (!step.contains("*")) {
          next.add(folder.resolve(step));
        } else if (Files.isDirectory(folder)) {
          try (Stream<Path> entries = Files.list(folder)) {
            var matcher = folder.getFileSystem().getPathMatcher("glob:" + step);
            entries.filter(e -> matcher.matches(e.getFileName())).sorted().forEach(next::add);
          } catch (IOException e) {
            // An unreadable folder holds no library for us.
          }
        }
      }
      level = next;
    }
    level.forEach(folder -> addFolder(folders, folder));
  }
}
