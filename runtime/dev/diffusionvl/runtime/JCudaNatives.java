// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;


import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Makes unmodified JCuda 12.6 run on what this machine has: the emulated device's libraries, or the CUDA 12 or 13 libraries of a
 * GPU. Runs once per process, before any JCuda class, and is the only place that knows how JCuda finds its natives.
 *
 * <p>glibc satisfies a library's dependency from an already loaded library of the same soname, so loading our
 * {@code libcuda.so.1} first is all it takes. JCuda unpacks its own natives into {@code java.io.tmpdir} under a fixed name and
 * takes any file that is already there; a private folder, named by that property for the time of loading, avoids both a stale and a foreign
 * file.
 */
final class JCudaNatives {
  private static final String SUFFIX = "-12.6.0-linux-x86_64";
  private static DeviceSpec.Kind loaded;
  private static boolean cudnnLoaded;

  private JCudaNatives() {}

  /** Loads the natives for {@code wanted} (AUTO is resolved here) and returns the kind that serves this process. */
  static synchronized DeviceSpec.Kind load(DeviceSpec.Kind wanted) {
    if (loaded != null) {
      if (wanted != DeviceSpec.Kind.AUTO && wanted != loaded) {
        throw new IllegalStateException("this process already runs on the " + loaded.name().toLowerCase()
            + " device; the device is chosen once per process");
      }
      return loaded;
    }
    DeviceSpec.Kind kind = wanted;
    if (kind == DeviceSpec.Kind.AUTO) {
      kind = CudaLibraries.driverTraces().isEmpty() ? DeviceSpec.Kind.EMULATED : DeviceSpec.Kind.GPU;
    }
    Path dir = NativeResources.privateDirectory();
    try {
      if (kind == DeviceSpec.Kind.GPU) {
        loadGpu(dir);
      } else {
        loadEmulated(dir);
      }
    } finally {
      NativeResources.delete(dir);
    }
    loaded = kind;
    return kind;
  }

  private static void loadEmulated(Path dir) {
    for (String library : new String[] {"libcuda.so.1", "libcublas.so.12"}) {
      loadEmulated(library, dir);
    }
    loadJCuda(dir, null, "jcuda.driver.JCudaDriver", "jcuda.jcublas.JCublas2");
  }

  private static void loadEmulated(String library, Path dir) {
    String name = System.getProperty("dvl.emulated.build", "emulated") + "/" + library;
    Path file = NativeResources.file(name, dir);
    if (file == null) {
      throw new DeviceUnavailableException("the emulated device is not in this build: " + name + " is missing on the class path");
    }
    System.load(file.toAbsolutePath().toString());
  }

  /**
   * Loads JCudnn, which only convolutions need, into a process that has a device already. Idempotent.
   *
   * @throws DeviceUnavailableException when there is no libcudnn.so.9, saying where it was looked for
   */
  static synchronized void loadCudnn() {
    if (cudnnLoaded) {
      return;
    }
    if (loaded == null) {
      throw new IllegalStateException("no device is open");
    }
    Path dir = NativeResources.privateDirectory();
    try {
      if (loaded == DeviceSpec.Kind.EMULATED) {
        loadEmulated("libcudnn.so.9", dir);
      } else {
        Path cudnn = CudaLibraries.find("libcudnn.so.9");
        if (cudnn == null) {
          throw new DeviceUnavailableException("libcudnn.so.9 not found in " + CudaLibraries.searchPath()
              + "; install cuDNN 9 (package libcudnn9-cuda-12 or -13) or name its folder with -Ddvl.cuda.libs=FOLDER");
        }
        System.load(cudnn.toString());
      }
      loadJCuda(dir, null, "jcuda.jcudnn.JCudnn");
    } finally {
      NativeResources.delete(dir);
    }
    cudnnLoaded = true;
  }

  private static void loadGpu(Path dir) {
    Path driver = CudaLibraries.find("libcuda.so.1");
    if (CudaLibraries.driverTraces().isEmpty() || driver == null) {
      throw new DeviceUnavailableException("no GPU: looked for an NVIDIA driver (/dev/nvidia0, /dev/dxg, /proc/driver/nvidia) and "
          + "libcuda.so.1 in " + CudaLibraries.searchPath());
    }
    System.load(driver.toString());
    Path cublas = CudaLibraries.find("libcublas.so.12", "libcublas.so.13");
    if (cublas == null) {
      throw new DeviceUnavailableException("neither libcublas.so.12 nor libcublas.so.13 found in " + CudaLibraries.searchPath()
          + "; install the CUDA toolkit's cuBLAS or name its folder with -Ddvl.cuda.libs=FOLDER");
    }
    String name = cublas.getFileName().toString();
    Path light = cublas.resolveSibling(name.replace("libcublas", "libcublasLt"));
    if (Files.exists(light)) {
      System.load(light.toString());
    }
    System.load(cublas.toString());
    loadJCuda(dir, name.equals("libcublas.so.12") ? null : name, "jcuda.driver.JCudaDriver", "jcuda.jcublas.JCublas2");
  }

  /** Initialises JCuda's classes; {@code cublas}: the library to use instead of libcublas.so.12, or null. */
  private static void loadJCuda(Path dir, String cublas, String... classes) {
    String tmp = System.getProperty("java.io.tmpdir");
    try {
      for (String name : classes) {
        String library = name.substring(name.lastIndexOf('.') + 1);
        String file = "lib" + library + SUFFIX + ".so";
        byte[] elf = resource("lib/" + file);
        if (cublas != null && library.equals("JCublas2")
            && NativePatch.renameDependency(elf, "libcublas.so.12", cublas) == 0) {
          throw new DeviceUnavailableException(file + " does not depend on libcublas.so.12: unknown JCublas version");
        }
        Files.write(dir.resolve(file), elf);
      }
      System.setProperty("java.io.tmpdir", dir.toString());
      for (String name : classes) {
        Class.forName(name);
      }
    } catch (IOException | ClassNotFoundException | LinkageError e) {
      throw new DeviceUnavailableException("JCuda's native libraries do not load: " + e.getMessage(), e);
    } finally {
      System.setProperty("java.io.tmpdir", tmp);
    }
  }

  private static byte[] resource(String name) throws IOException {
    try (InputStream in = JCudaNatives.class.getClassLoader().getResourceAsStream(name)) {
      if (in == null) {
        throw new DeviceUnavailableException(name + " is not on the class path (jcuda-natives, jcublas-natives, jcudnn-natives 12.6.0 linux-x86_64)");
      }
      return in.readAllBytes();
    }
  }
}
