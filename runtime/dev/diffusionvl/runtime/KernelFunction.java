// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.util.Arrays;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.CUmodule;
import jcuda.driver.JCudaDriver;

/** A kernel in a loaded module. Immutable apart from the shared-memory opt-in; lives as long as its module. */
public final class KernelFunction {
  private static final int DEFAULT_DYNAMIC_SHARED = 48 << 10;

  private final Device device;
  private final KernelModule module;
  private final String name;
  private final Pointers.FunctionHandle handle;
  private final int[] parameterSizes; // null when the driver does not tell
  private final byte[] parameterKinds; // of the first ones, as far as the driver tells
  private int dynamicShared = DEFAULT_DYNAMIC_SHARED;

  private KernelFunction(Device device, KernelModule module, String name, Pointers.FunctionHandle handle) {
    this.device = device;
    this.module = module;
    this.name = name;
    this.handle = handle;
    this.parameterSizes = askParameterSizes(handle.address());
    this.parameterKinds = askParameterKinds(handle.address());
  }

  static KernelFunction find(Device device, KernelModule module, CUmodule moduleHandle, String name) {
    device.makeCurrent();
    Pointers.FunctionHandle handle = new Pointers.FunctionHandle();
    KernelFunction[] found = new KernelFunction[1];
    // A driver that loads lazily loads the kernel's code when it is first asked about it, which a capture may not see.
    int status = Cuda.duringCapture(() -> {
      int result = JCudaDriver.cuModuleGetFunction(handle, moduleHandle, name);
      if (result == 0) {
        found[0] = new KernelFunction(device, module, name, handle);
        found[0].registers();
      }
      return result;
    });
    Cuda.check(status, "cuModuleGetFunction", () -> name + " in " + module);
    return found[0];
  }

  /**
   * Asks for as much shared memory per multiprocessor as there is. Kernels that want it divided otherwise cannot share a multiprocessor,
   * and a change of the division waits until one is idle: kernels that follow each other should all ask for the same.
   */
  void preferSharedMemory() {
    int attribute = CUfunction_attribute.CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT;
    Cuda.check(Cuda.duringCapture(() -> JCudaDriver.cuFuncSetAttribute(handle, attribute, 100)), "cuFuncSetAttribute",
        () -> name + ", shared memory preferred");
  }

  private static int[] askParameterSizes(long handle) {
    if (!JniKernels.available()) {
      return null;
    }
    int[] sizes = new int[Launch.MAX_PARAMETERS];
    int count = JniCalls.parameterSizes(handle, sizes);
    return count < 0 ? null : Arrays.copyOf(sizes, count);
  }

  private static byte[] askParameterKinds(long handle) {
    byte[] kinds = new byte[Launch.MAX_PARAMETERS];
    return Arrays.copyOf(kinds, JniKernels.available() ? JniCalls.parameterKinds(handle, kinds) : 0);
  }

  /** Exported name, e.g. {@code rms_norm_bf16}. */
  public String name() {
    return name;
  }

  /** Registers that a thread uses; a nominal figure on the emulated device. */
  public int registers() {
    checkOpen();
    device.makeCurrent();
    int[] value = new int[1];
    Cuda.check(JCudaDriver.cuFuncGetAttribute(value, CUfunction_attribute.CU_FUNC_ATTRIBUTE_NUM_REGS, handle), "cuFuncGetAttribute", name);
    return value[0];
  }

  /**
   * Blocks that the device runs at once, as registers, threads and shared memory go.
   *
   * @param threads of a block
   * @param dynamicShared bytes of shared memory that a launch asks for
   */
  public int blocksAtOnce(int threads, int dynamicShared) {
    checkOpen();
    device.makeCurrent();
    int[] blocks = new int[1];
    int status = Cuda.duringCapture(() ->
        JCudaDriver.cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, handle, threads, dynamicShared));
    Cuda.check(status, "cuOccupancyMaxActiveBlocksPerMultiprocessor",
        () -> "%s, %d threads, %d bytes of shared memory".formatted(name, threads, dynamicShared));
    return blocks[0] * device.attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  }

  /** Opts in to more than 48 KiB of dynamic shared memory per block. */
  public synchronized void allowDynamicShared(int bytes) {
    checkOpen();
    if (bytes > dynamicShared) {
      device.makeCurrent();
      int attribute = CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
      Cuda.check(Cuda.duringCapture(() -> JCudaDriver.cuFuncSetAttribute(handle, attribute, bytes)), "cuFuncSetAttribute",
          () -> name + " with " + bytes + " bytes of shared memory");
      dynamicShared = bytes;
    }
  }

  /** Refuses parameters that cannot be the kernel's, as far as their number, sizes and kinds tell. */
  void checkParameters(int[] sizes, byte[] kinds, int count) {
    if (parameterSizes != null && !Arrays.equals(parameterSizes, 0, parameterSizes.length, sizes, 0, count)) {
      throw new IllegalArgumentException("%s takes %d parameters of %s bytes, the launch has %d of %s".formatted(name,
          parameterSizes.length, Arrays.toString(parameterSizes), count, Arrays.toString(Arrays.copyOf(sizes, count))));
    }
    for (int i = 0; i < parameterKinds.length; i++) {
      if (parameterKinds[i] != kinds[i] && parameterKinds[i] != Launch.UNKNOWN && kinds[i] != Launch.UNKNOWN) {
        throw new IllegalArgumentException("%s: parameter %d is %s, the launch has %s".formatted(name, i, Launch.kind(parameterKinds[i]),
            Launch.kind(kinds[i])));
      }
    }
  }

  void checkOpen() {
    module.checkOpen();
  }

  Device device() {
    return device;
  }

  KernelModule module() {
    return module;
  }

  CUfunction handle() {
    return handle;
  }

  long address() {
    return handle.address();
  }
}
