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

/** Where the CUDA libraries of this machine may be. Looks, never loads: a loaded libcuda stays loaded until the process ends. */
final class CudaLibraries {
  private static final String COMPATIBILITY = "/usr/local/cuda/compat";

  private CudaLibraries() {}

  /**
   * A library to try.
   *
   * @param soname its name, e.g. {@code libcublas.so.12}
   * @param file where it is; null: where the system's loader finds that name (LD_LIBRARY_PATH, ld.so.conf)
   */
  record Candidate(String soname, Path file) {
    @Override
    public String toString() {
      return file == null ? soname : file.toString();
    }
  }

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
   * Drivers to try as a GPU's: libcuda.so.1 in a folder of {@code -Ddvl.cuda.libs}, whose word is taken; else as {@link #candidates}, if
   * the machine shows traces of a driver (a lone libcuda.so.1, as in a container image, drives nothing).
   */
  static List<Candidate> drivers() {
    List<Candidate> named = in(namedFolders(), "libcuda.so.1");
    return !named.isEmpty() || driverTraces().isEmpty() ? named : candidates("libcuda.so.1");
  }

  /**
   * Libraries of these names in the order in which they are to be tried: those in folders of {@code -Ddvl.cuda.libs}, and if there are any
   * no others; what the system's loader finds by name, which is what every other program of this machine uses and how containers put a
   * compatible driver first; then those on the search path, folder by folder.
   */
  static List<Candidate> candidates(String... names) {
    List<Candidate> candidates = in(namedFolders(), names);
    if (candidates.isEmpty()) {
      for (String name : names) {
        candidates.add(new Candidate(name, null));
      }
      candidates.addAll(in(searchPath(), names));
    }
    return candidates;
  }

  private static List<Candidate> in(List<Path> folders, String... names) {
    List<Candidate> found = new ArrayList<>();
    for (Path folder : folders) {
      for (String name : names) {
        if (Files.isRegularFile(folder.resolve(name))) {
          found.add(new Candidate(name, folder.resolve(name)));
        }
      }
    }
    return found;
  }

  private static List<Path> namedFolders() {
    Set<Path> folders = new LinkedHashSet<>();
    addAll(folders, System.getProperty("dvl.cuda.libs"));
    return List.copyOf(folders);
  }

  /** The folder with a driver of NVIDIA's forward compatibility; where it would be put if there is none. */
  static String compatibility() {
    Set<Path> folders = new LinkedHashSet<>();
    glob(folders, Path.of("/usr/local"), "cuda*", "compat");
    return folders.stream().filter(f -> Files.isRegularFile(f.resolve("libcuda.so.1"))).map(Path::toString).findFirst()
        .orElse(COMPATIBILITY);
  }

  /**
   * Folders in search order: {@code -Ddvl.cuda.libs}, LD_LIBRARY_PATH, the system's library folders, the toolkit's usual folders, and the
   * folders in which Python wheels and conda put CUDA libraries, of environments that are active and of those that usually are.
   */
  static List<Path> searchPath() {
    Set<Path> folders = new LinkedHashSet<>(namedFolders());
    addAll(folders, System.getenv("LD_LIBRARY_PATH"));
    for (String path : List.of("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/local/nvidia/lib64", "/usr/lib/wsl/lib",
        "/run/opengl-driver/lib")) {
      addFolder(folders, Path.of(path));
    }
    glob(folders, Path.of("/usr/local"), "cuda*", "lib64");
    glob(folders, Path.of("/usr/local"), "cuda*", "targets/x86_64-linux/lib");
    glob(folders, Path.of("/opt/nvidia/hpc_sdk/Linux_x86_64"), "*", "math_libs/lib64");
    for (String variable : List.of("VIRTUAL_ENV", "CONDA_PREFIX")) {
      String prefix = System.getenv(variable);
      if (prefix != null && !prefix.isBlank()) {
        addPrefix(folders, Path.of(prefix));
      }
    }
    addPrefix(folders, Path.of("/usr"));
    addPrefix(folders, Path.of("/usr/local"));
    Path home = Path.of(System.getProperty("user.home"));
    addPrefix(folders, home.resolve(".local"));
    for (String environment : List.of(".venv", "venv")) {
      addPrefix(folders, home.resolve(environment));
    }
    for (String root : List.of("conda", "miniconda3", "miniforge3", "mambaforge", "anaconda3")) {
      addPrefix(folders, Path.of("/opt", root));
      addPrefix(folders, home.resolve(root));
    }
    return List.copyOf(folders);
  }

  /** The folders of a Python or conda installation: conda's libraries, and those of NVIDIA's wheels. */
  private static void addPrefix(Set<Path> folders, Path prefix) {
    if (Files.isDirectory(prefix.resolve("conda-meta"))) {
      addFolder(folders, prefix.resolve("lib"));
    }
    for (String packages : List.of("site-packages/nvidia", "dist-packages/nvidia")) {
      glob(folders, prefix.resolve("lib"), "python3*", packages, "*", "lib");
    }
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
