// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;


import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.CUmodule;
import jcuda.driver.JCudaDriver;

/** A kernel in a loaded module. Immutable apart from the shared-memory opt-in; lives as long as its device. */
public final class KernelFunction {
  private static final int DEFAULT_DYNAMIC_SHARED = 48 << 10;

  private final Device device;
  private final String name;
  private final CUfunction handle;
  private int dynamicShared = DEFAULT_DYNAMIC_SHARED;

  private KernelFunction(Device device, String name, CUfunction handle) {
    this.device = device;
    this.name = name;
    this.handle = handle;
  }

  static KernelFunction find(Device device, CUmodule module, String name) {
    device.makeCurrent();
    CUfunction handle = new CUfunction();
    Cuda.check(JCudaDriver.cuModuleGetFunction(handle, module, name), "cuModuleGetFunction", name);
    return new KernelFunction(device, name, handle);
  }

  /** Exported name, e.g. {@code rms_norm_bf16}. */
  public String name() {
    return name;
  }

  /** Opts in to more than 48 KiB of dynamic shared memory a block. */
  public synchronized void allowDynamicShared(int bytes) {
    if (bytes > dynamicShared) {
      device.makeCurrent();
      Cuda.check(
          JCudaDriver.cuFuncSetAttribute(handle, CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes),
          "cuFuncSetAttribute", name + " with " + bytes + " bytes of shared memory");
      dynamicShared = bytes;
    }
  }

  Device device() {
    return device;
  }

  CUfunction handle() {
    return handle;
  }
}
