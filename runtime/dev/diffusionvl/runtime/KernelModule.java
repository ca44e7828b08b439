// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import jcuda.Pointer;
import jcuda.driver.CUjit_option;
import jcuda.driver.CUmodule;
import jcuda.driver.JCudaDriver;
import jcuda.driver.JITOptions;

/**
 * Compiled kernels loaded into a device: this library's own ones, or a program's. On a GPU a module is PTX text, a cubin or a fat
 * binary. The emulated device interprets PTX, also that in a fat binary; it also takes a host module, which is the same CUDA source
 * compiled by g++ ({@code make -C cuda module}) and runs several times faster.
 *
 * {@snippet :
 * try (KernelModule module = device.loadModule(Path.of("vector_add.ptx"))) {
 *   KernelFunction add = module.function("vector_add");
 *   stream.launch(add, blocks, 1, 1, 256, 0).ptr(x).ptr(y).ptr(sum).i32(n).go();
 *   stream.synchronize();
 * }
 * }
 *
 * <p>Safe to share between threads.
 */
public final class KernelModule extends Handle {
  private static final int LOG_BYTES = 8192;

  private final String name;
  private final CUmodule handle = new CUmodule();
  private final Map<String, KernelFunction> functions = new ConcurrentHashMap<>();
  private final Map<String, DeviceBuffer> globals = new ConcurrentHashMap<>();

  private KernelModule(Device device, String name) {
    super(device);
    this.name = name;
  }

  static KernelModule load(Device device, String name, byte[] image) {
    if (image.length == 0) {
      throw new IllegalArgumentException("module " + name + " is empty");
    }
    ModuleImage kind = ModuleImage.of(image);
    if (kind == (device.emulated() ? ModuleImage.CUBIN : ModuleImage.HOST_MODULE)) {
      throw new IllegalArgumentException("module " + name + " is " + kind + ", which "
          + (device.emulated() ? "the emulated device cannot run; load PTX (nvcc -ptx) or a host module (make -C cuda module)"
              : "a GPU cannot run; load PTX or a cubin"));
    }
    KernelModule module = new KernelModule(device, name);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment copy = arena.allocate(image.length + 1L, 16); // PTX is text that ends with a zero
      MemorySegment.copy(image, 0, copy, ValueLayout.JAVA_BYTE, 0, image.length);
      Pointer pointer = Pointers.pointer(copy.address());
      int status = Cuda.duringCapture(() -> JCudaDriver.cuModuleLoadDataEx(module.handle, pointer, 0, new int[0], null));
      if (status != 0) {
        throw Cuda.failure(status, "cuModuleLoadDataEx", name + (kind == ModuleImage.PTX || kind == ModuleImage.FAT_BINARY
            ? compilerLog(pointer) : ""));
      }
    }
    return module;
  }

  static KernelModule load(Device device, Path file) {
    if (Files.exists(file) && !Files.isRegularFile(file)) { // reading a pipe would wait, reading a device might never end
      throw new IllegalArgumentException("module " + file + ": not a regular file");
    }
    try {
      return load(device, file.toString(), Files.readAllBytes(file));
    } catch (IOException e) {
      throw new IllegalArgumentException("module " + file + " cannot be read: " + e, e);
    }
  }

  /** Reports it as a leak if it is not closed; the library's own modules are closed by their device. */
  KernelModule tracked() {
    track();
    return this;
  }

  /** What the driver's compiler says about PTX that it refused. */
  private static String compilerLog(Pointer ptx) {
    JITOptions options = new JITOptions();
    options.putInt(CUjit_option.CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, LOG_BYTES);
    options.putBytes(CUjit_option.CU_JIT_ERROR_LOG_BUFFER, new byte[LOG_BYTES]);
    CUmodule module = new CUmodule();
    if (JCudaDriver.cuModuleLoadDataJIT(module, ptx, options) == 0) {
      JCudaDriver.cuModuleUnload(module);
      return "";
    }
    String log = new String(options.getBytes(CUjit_option.CU_JIT_ERROR_LOG_BUFFER), StandardCharsets.UTF_8).split("\0", 2)[0].strip();
    return log.isEmpty() ? "" : ": " + log;
  }

  /** Where it came from. */
  public String name() {
    return name;
  }

  /**
   * A kernel by its exported name (declare kernels {@code extern "C"}).
   *
   * @throws CudaException when the module has no kernel of that name
   */
  public KernelFunction function(String function) {
    checkOpen();
    KernelFunction known = functions.get(function); // get first: it allocates nothing
    return known != null ? known : functions.computeIfAbsent(function, f -> KernelFunction.find(device(), this, handle, f));
  }

  /**
   * A variable of the module, {@code __device__} or {@code __constant__}, to be written before kernels read it, or read when they wrote it.
   * It is there as long as the module is, and need not be closed. Of host modules of the emulated device no variables are known.
   *
   * @param variable by its exported name: that of a variable outside of namespaces, if it is not {@code static}
   * @param dtype of its elements
   * @param shape of the whole variable
   * @throws CudaException when the module has no variable of that name
   * @throws IllegalArgumentException when the variable has another size
   */
  public DeviceBuffer global(String variable, DType dtype, long... shape) {
    enter();
    return globals.computeIfAbsent(variable, this::findGlobal).view(dtype, shape);
  }

  private DeviceBuffer findGlobal(String variable) {
    Pointers.Allocation address = new Pointers.Allocation();
    long[] bytes = new long[1];
    Cuda.check(JCudaDriver.cuModuleGetGlobal(address, bytes, handle, variable), "cuModuleGetGlobal", () -> variable + " in " + this);
    return DeviceBuffer.borrowed(device(), variable + " of " + this, bytes[0], address.address());
  }

  /** Unloads the kernels; wait before close for the streams that run them. */
  @Override
  void destroy() {
    JCudaDriver.cuModuleUnload(handle);
  }

  @Override
  void closeParts() {
    globals.values().forEach(DeviceBuffer::expire);
  }

  @Override
  public String toString() {
    return "module " + name;
  }
}
