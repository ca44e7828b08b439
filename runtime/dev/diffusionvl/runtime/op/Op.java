// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.KernelFunction;

/**
 * What launchers share: the kernel's instances by dtype, loaded on first use, and the checks before a launch. A failed check names
 * the operation and the argument; nothing is built on the way of a good launch.
 */
abstract class Op {
  private final Device device;
  private final String name;

  /** @param name file in cuda/ and stem of its functions */
  Op(Device device, String name) {
    this.device = device;
    this.name = name;
  }

  /** The kernel {@code function}. */
  final KernelFunction kernel(String function) {
    return device.kernel(name, function);
  }

  /** A kernel of another file in cuda/. */
  final KernelFunction kernel(String file, String function) {
    return device.kernel(file, function);
  }

  /** BF16 or F32. */
  final void checkFloat(String argument, DeviceBuffer buffer) {
    if (buffer == null) {
      throw missing(argument);
    }
    if (buffer.dtype() != DType.BF16 && buffer.dtype() != DType.F32) {
      throw refused(argument, buffer, "dtype must be BF16 or F32");
    }
  }

  /** Of this dtype, open, on this device, and at least this many elements. */
  final void check(String argument, DeviceBuffer buffer, DType dtype, long elements) {
    if (buffer == null) {
      throw missing(argument);
    }
    if (buffer.dtype() != dtype) {
      throw refused(argument, buffer, "dtype must be " + dtype);
    }
    if (buffer.elements() < elements) {
      throw refused(argument, buffer, "needs " + elements + " elements");
    }
    if (buffer.device() != device) {
      throw refused(argument, buffer, "is on another device");
    }
    if (buffer.closed()) {
      throw new IllegalStateException(name + ": " + argument + " is " + buffer + ": is closed");
    }
  }

  /**
   * The product in front of an elementwise kernel: F32 accumulators, to which a bias may be added, or values that are rounded to the dtype of the
   * model already.
   */
  final void checkProduct(String argument, DeviceBuffer product, DeviceBuffer bias, DType dtype, long elements) {
    boolean rounded = product != null && product.dtype() == dtype && dtype != DType.F32;
    check(argument, product, rounded ? dtype : DType.F32, elements);
    if (rounded && bias != null) {
      throw refused("bias", bias, "has to be added before " + argument + " is rounded to " + dtype);
    }
  }

  final void checkOptional(String argument, DeviceBuffer buffer, DType dtype, long elements) {
    if (buffer != null) {
      check(argument, buffer, dtype, elements);
    }
  }

  /** Starts at a multiple of 16 bytes, as 16-byte accesses need. */
  final void checkAligned(String argument, DeviceBuffer buffer) {
    if (buffer.address() % 16 != 0) {
      throw refused(argument, buffer, "does not start at a multiple of 16 bytes");
    }
  }

  final void require(boolean ok, String argument, long value) {
    if (!ok) {
      throw new IllegalArgumentException(name + ": " + argument + " is " + value);
    }
  }

  final void require(boolean ok, String argument, float value) {
    if (!ok) {
      throw new IllegalArgumentException(name + ": " + argument + " is " + value);
    }
  }

  private IllegalArgumentException missing(String argument) {
    return new IllegalArgumentException(name + ": " + argument + " is null");
  }

  private IllegalArgumentException refused(String argument, DeviceBuffer buffer, String why) {
    return new IllegalArgumentException(name + ": " + argument + " is " + buffer + ": " + why);
  }

  static int blocks(int items, int each) {
    return (items + each - 1) / each;
  }
}
