// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;

/**
 * Makes unmodified JCuda 12.6 run on what this machine has: the emulated device's libraries, or the CUDA 12 or 13 libraries of a
 * GPU. Runs once per class loader, before any JCuda class, and is the only place that knows how JCuda finds its natives.
 *
 * <p>glibc satisfies a library's dependency from an already loaded library of the same soname, so loading our
 * {@code libcuda.so.1} first is all it takes. JCuda unpacks its own natives into {@code java.io.tmpdir} under a fixed name and
 * takes any file that is already there; a private folder that has them, named by that property for the time of loading, avoids both a
 * stale and a foreign file. Class loaders that each have a copy of JCuda share the CUDA libraries: see {@link ProcessDevice}.
 */
final class JCudaNatives {
  private static final String SUFFIX = "-12.6.0-linux-x86_64";

  /** What this library calls in cuBLAS. JCublas binds at the first call, and a name that is missing then ends the process. */
  private static final List<String> CUBLAS_FUNCTIONS =
      List.of("cublasCreate_v2", "cublasDestroy_v2", "cublasSetStream_v2", "cublasSetMathMode", "cublasSetWorkspace_v2",
          "cublasGemmEx");

  /** The same of cuDNN, in {@link Conv}. */
  private static final List<String> CUDNN_FUNCTIONS = List.of("cudnnCreate", "cudnnDestroy", "cudnnSetStream", "cudnnGetErrorString",
      "cudnnCreateTensorDescriptor", "cudnnSetTensor4dDescriptor", "cudnnDestroyTensorDescriptor", "cudnnCreateFilterDescriptor",
      "cudnnSetFilter4dDescriptor", "cudnnDestroyFilterDescriptor", "cudnnCreateConvolutionDescriptor", "cudnnSetConvolution2dDescriptor",
      "cudnnSetConvolutionMathType", "cudnnDestroyConvolutionDescriptor", "cudnnGetConvolutionForwardAlgorithm_v7",
      "cudnnGetConvolutionForwardWorkspaceSize", "cudnnConvolutionForward");

  /** The system's loader then refuses a library for any function that is absent, of which JCuda names some that CUDA 13 dropped. */
  private static final boolean BINDS_AT_ONCE = !System.getenv().getOrDefault("LD_BIND_NOW", "").isEmpty();

  private static DeviceSpec.Kind loaded;
  private static boolean cudnnLoaded;

  private JCudaNatives() {}

  /** Loads the natives for {@code wanted} (AUTO is resolved here) and returns the kind that serves this process. */
  static DeviceSpec.Kind load(DeviceSpec.Kind wanted) {
    synchronized (ProcessDevice.lock()) {
      DeviceSpec.Kind chosen = ProcessDevice.chosen();
      if (chosen != null && wanted != DeviceSpec.Kind.AUTO && wanted != chosen) {
        throw new IllegalStateException("this process already runs on the " + chosen.name().toLowerCase(Locale.ROOT)
            + " device; the device is chosen once per process");
      }
      if (loaded == null) {
        loaded = load(chosen, wanted);
        ProcessDevice.choose(loaded);
      }
      return loaded;
    }
  }

  private static DeviceSpec.Kind load(DeviceSpec.Kind chosen, DeviceSpec.Kind wanted) {
    DeviceSpec.Kind kind = chosen != null ? chosen : wanted;
    if (kind == DeviceSpec.Kind.AUTO) {
      kind = CudaLibraries.driverTraces().isEmpty() ? DeviceSpec.Kind.EMULATED : DeviceSpec.Kind.GPU;
    }
    if (kind == DeviceSpec.Kind.GPU) {
      loadGpu();
    } else {
      byte[] driver = NativeResources.bytes(emulated("libcuda.so.1"));
      String build = driver == null ? "missing" : NativeCache.key(driver);
      if (ProcessDevice.needsEmulated(build)) {
        loadEmulated("libcuda.so.1");
        loadEmulated("libcublas.so.12");
        ProcessDevice.loadedEmulated(build);
      }
      loadJCuda("jcuda.driver.JCudaDriver", null);
      loadJCuda("jcuda.jcublas.JCublas2", null);
    }
    return kind;
  }

  private static void loadGpu() {
    SharedLibrary driver = SharedLibrary.first(CudaLibraries.drivers(), List.of());
    if (driver == null) {
      throw new DeviceUnavailableException("no GPU: looked for an NVIDIA driver (/dev/nvidia0, /dev/dxg, /proc/driver/nvidia) and "
          + "libcuda.so.1 in " + CudaLibraries.searchPath());
    }
    DriverVersion.check(driver.file(), driver.symbols());
    SharedLibrary cublas = SharedLibrary.first(CudaLibraries.candidates("libcublas.so.12", "libcublas.so.13"), CUBLAS_FUNCTIONS);
    if (cublas == null) {
      throw new DeviceUnavailableException("neither libcublas.so.12 nor libcublas.so.13 found in " + CudaLibraries.searchPath()
          + "; install cuBLAS (package libcublas of the CUDA toolkit, or pip's nvidia-cublas) or name its folder with "
          + "-Ddvl.cuda.libs=FOLDER");
    }
    loadJCuda("jcuda.driver.JCudaDriver", null);
    loadJCuda("jcuda.jcublas.JCublas2", cublas.soname());
  }

  /**
   * Loads JCudnn, which only convolutions need, into a process that has a device already. Idempotent.
   *
   * @throws DeviceUnavailableException when there is no libcudnn.so.9, saying where it was looked for
   */
  static void loadCudnn() {
    synchronized (ProcessDevice.lock()) {
      if (!cudnnLoaded) {
        requireCudnn();
        loadJCuda("jcuda.jcudnn.JCudnn", null);
        cudnnLoaded = true;
      }
    }
  }

  private static void requireCudnn() {
    if (loaded == null) {
      throw new IllegalStateException("no device is open");
    }
    if (loaded == DeviceSpec.Kind.EMULATED) {
      loadEmulated("libcudnn.so.9");
    } else {
      SharedLibrary cudnn = SharedLibrary.first(CudaLibraries.candidates("libcudnn.so.9"), CUDNN_FUNCTIONS);
      if (cudnn == null) {
        throw new DeviceUnavailableException("libcudnn.so.9 not found in " + CudaLibraries.searchPath()
            + "; install cuDNN 9 (package libcudnn9-cuda-12 or -13, or pip's nvidia-cudnn) or name its folder with "
            + "-Ddvl.cuda.libs=FOLDER");
      }
    }
  }

  private static void loadEmulated(String library) {
    String name = emulated(library);
    if (!NativeResources.use(name, SharedLibrary::of)) {
      throw new DeviceUnavailableException("the emulated device is not in this build: " + name + " is missing on the class path");
    }
  }

  private static String emulated(String library) {
    return System.getProperty("dvl.emulated.build", "emulated") + "/" + library;
  }

  /** Initialises a JCuda class; {@code cublas}: the soname that its native shall depend on instead of libcublas.so.12, or null. */
  private static void loadJCuda(String className, String cublas) {
    String file = "lib" + className.substring(className.lastIndexOf('.') + 1) + SUFFIX + ".so";
    byte[] elf = resource("lib/" + file);
    if (cublas != null && !cublas.equals("libcublas.so.12") && NativePatch.renameDependency(elf, "libcublas.so.12", cublas) == 0) {
      throw new DeviceUnavailableException(file + " does not depend on libcublas.so.12: unknown JCublas version");
    }
    if (BINDS_AT_ONCE) {
      NativePatch.weakenUndefined(elf, "cu");
    }
    Consumer<Path> loader = path -> initialise(className, path.toAbsolutePath().getParent());
    if (ProcessDevice.firstWith(file)) {
      NativeCache.ofUser().use(file, elf, loader);
    } else {
      NativeCache.useTemporary(file, elf, loader);
    }
  }

  private static void initialise(String className, Path natives) {
    String tmp = System.getProperty("java.io.tmpdir");
    System.setProperty("java.io.tmpdir", natives.toString());
    try {
      Class.forName(className);
    } catch (ClassNotFoundException | LinkageError e) {
      throw new DeviceUnavailableException(className + " does not load: " + e.getMessage(), e);
    } finally {
      System.setProperty("java.io.tmpdir", tmp);
    }
  }

  private static byte[] resource(String name) {
    try (InputStream in = JCudaNatives.class.getClassLoader().getResourceAsStream(name)) {
      if (in == null) {
        throw new DeviceUnavailableException(name + " is not on the class path (jcuda-natives, jcublas-natives, jcudnn-natives 12.6.0 "
            + "linux-x86_64)");
      }
      return in.readAllBytes();
    } catch (IOException e) {
      throw new DeviceUnavailableException("cannot read " + name + " from the class path", e);
    }
  }
}
