// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import jcuda.Pointer;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUfunction;
import jcuda.driver.CUgraph;
import jcuda.driver.CUstream;

/** Raw addresses in and out of JCuda's handle classes, without reflection: their native pointer is a protected member. */
final class Pointers {
  private Pointers() {}

  /** A host (or device) address as a JCuda pointer. */
  static Pointer pointer(long address) {
    return new Address(address);
  }

  static CUdeviceptr devicePointer(long address) {
    return new CUdeviceptr().withByteOffset(address);
  }

  /** A stream that tells its handle. */
  static final class StreamHandle extends CUstream {
    long address() {
      return getNativePointer();
    }
  }

  /** A graph that tells its handle. */
  static final class GraphHandle extends CUgraph {
    long address() {
      return getNativePointer();
    }
  }

  /** A kernel that tells its handle. */
  static final class FunctionHandle extends CUfunction {
    long address() {
      return getNativePointer();
    }
  }

  static final class Address extends Pointer {
    Address(long address) {
      super(address);
    }
  }

  /** A pointer to host memory of the driver that tells its address. */
  static final class HostAllocation extends Pointer {
    long address() {
      return getNativePointer();
    }
  }

  /** A device pointer that tells its address. */
  static final class Allocation extends CUdeviceptr {
    long address() {
      return getNativePointer() + getByteOffset();
    }
  }
}
