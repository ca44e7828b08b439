// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.KernelFunction;
import dev.diffusionvl.runtime.Launch;
import java.util.List;

/**
 * What launchers share: the kernel's instances by dtype, loaded on first use, and the checks before a launch. A failed check names
 * the operation and the argument. A valid launch allocates nothing.
 */
abstract class Op {
  /** What kernels with instances by dtype have instances for. */
  static final List<DType> FLOATS = List.of(DType.BF16, DType.F16, DType.F32);

  /** The same of kernels that serve training alone. */
  static final List<DType> TRAINED = List.of(DType.BF16, DType.F32);

  /** What tensor cores multiply. */
  static final List<DType> HALVES = List.of(DType.BF16, DType.F16);

  private final Device device;
  private final String name;
  private final List<DType> dtypes;
  private final Instances instances;

  /** @param name file in cuda/ and stem of its functions */
  Op(Device device, String name) {
    this(device, name, FLOATS);
  }

  Op(Device device, String name, List<DType> dtypes) {
    this.device = device;
    this.name = name;
    this.dtypes = dtypes;
    instances = new Instances(device, name, name, dtypes);
  }

  /** The kernel's instance for activations of this dtype. */
  final KernelFunction instance(DType dtype) {
    return instances.of(dtype);
  }

  /** One of several kernels of an operation without instances by dtype. */
  final KernelFunction kernel(String function) {
    return device.kernel(name, function);
  }

  /** Of a dtype that there are instances for. */
  final void checkFloat(String argument, DeviceBuffer buffer) {
    if (buffer == null) {
      throw missing(argument);
    }
    if (!dtypes.contains(buffer.dtype())) {
      throw refused(argument, buffer, "dtype must be one of " + dtypes);
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

  final void checkOptional(String argument, DeviceBuffer buffer, DType dtype, long elements) {
    if (buffer != null) {
      check(argument, buffer, dtype, elements);
    }
  }

  /** Starts at a multiple of 16 bytes, as 16-byte accesses need. */
  final void checkAligned(String argument, DeviceBuffer buffer) {
    checkAligned(argument, buffer, 16);
  }

  /**
   * What a kernel accesses by pieces of {@code each} elements where all rows are made of whole pieces: it starts at a multiple of a
   * piece's bytes, or of 16.
   */
  final void checkPieces(String argument, DeviceBuffer buffer, int width, int each) {
    if (buffer != null && width % each == 0) {
      checkAligned(argument, buffer, Math.min(16, each * buffer.dtype().bytes()));
    }
  }

  private void checkAligned(String argument, DeviceBuffer buffer, int bytes) {
    if (buffer.address() % bytes != 0) {
      throw refused(argument, buffer, "does not start at a multiple of " + bytes + " bytes");
    }
  }

  /** All of a packed matrix. */
  final void checkPacked(WeightMatrix.Packed w) {
    check("codes", w.codes(), DType.U8, w.layout().codeBytes());
    check("scales", w.scales(), DType.F32, w.layout().scales());
    checkAligned("codes", w.codes());
    checkAligned("scales", w.scales());
    if (w.zeros() != null) {
      check("zeros", w.zeros(), DType.U8, w.layout().scales());
      checkAligned("zeros", w.zeros());
    }
  }

  /** The same where keys and values may be codes, which are numbers of 16 bits then. */
  final void checkCache(KeyValues kv, DType dtype, int slotEnd) {
    if (!kv.coded()) {
      checkKeyValues(kv, dtype, slotEnd);
      return;
    }
    require(dtype.isHalf(), "bytes of an activation, with codes of keys and values,", dtype.bytes());
    require(kv.heads().dim() == KeyValues.CODED_DIM, "head dim, with codes of keys and values,", kv.heads().dim());
    checkKeyValues(new KeyValues(kv.keys(), kv.values(), kv.heads(), kv.slots()), DType.U8, slotEnd);
    long rows = times(kv.heads().keyValue(), kv.slots());
    check("key scales", kv.scales().keys(), DType.F32, rows);
    check("value scales", kv.scales().values(), DType.F32, rows);
    checkAligned("keys", kv.keys());
    checkAligned("values", kv.values());
  }

  /** Keys and values as a kernel that writes them takes them: both, then their scales, which may be missing. */
  static Launch cache(Launch launch, KeyValues kv) {
    KeyValues.Scales scales = kv.scales();
    return launch.ptr(kv.keys()).ptr(kv.values()).ptrOrNull(scales == null ? null : scales.keys())
        .ptrOrNull(scales == null ? null : scales.values());
  }

  /** Sizes of heads, and numbers as keys and values by slot that reach as far as a pass does. */
  final void checkKeyValues(KeyValues kv, DType dtype, int slotEnd) {
    Heads heads = kv.heads();
    if (kv.coded()) {
      throw refused("keys", kv.keys(), "must be numbers and not codes");
    }
    require(heads.keyValue() > 0, "kv heads", heads.keyValue());
    require(heads.query() > 0 && heads.query() % heads.keyValue() == 0, "heads", heads.query());
    require(heads.dim() > 0 && heads.dim() % 2 == 0, "head dim", heads.dim());
    require(slotEnd <= kv.slots(), "highest slot, past the end of keys and values,", slotEnd);
    long elements = times(times(heads.keyValue(), kv.slots()), heads.dim());
    check("keys", kv.keys(), dtype, elements);
    check("values", kv.values(), dtype, elements);
  }

  /** A table of rotary angles with so many rows. */
  final void checkRope(Rope rope, long rows, int headDim) {
    check("cos", rope.cos(), DType.F32, times(rows, headDim / 2));
    check("sin", rope.sin(), DType.F32, times(rows, headDim / 2));
  }

  /** The id that is never chosen, or −1. */
  final void requireExcluded(int excluded, int vocab) {
    require(excluded >= -1 && excluded < vocab, "excluded id", excluded);
  }

  /** All of the predictions, as {@link Confidence} makes them. */
  final void checkPredictions(Predictions to, int rows) {
    check("token", to.token(), DType.I32, rows);
    check("probability", to.probability(), DType.F32, rows);
    check("row max", to.rowMax(), DType.F32, rows);
    check("row sum", to.rowSumExp(), DType.F32, rows);
  }

  /** Sets of tokens, or null. */
  final void checkLegal(DeviceBuffer legal, long rows, int vocab) {
    checkOptional("legal", legal, DType.I32, times(rows, Confidence.legalWords(vocab)));
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

  final IllegalArgumentException refused(String argument, DeviceBuffer buffer, String why) {
    return new IllegalArgumentException(name + ": " + argument + " is " + buffer + ": " + why);
  }

  /** Elements of so many rows of so many columns; {@link Long#MAX_VALUE}, more than any buffer has, where the product is larger. */
  static long times(long rows, long columns) {
    long product = rows * columns;
    return Math.multiplyHigh(rows, columns) == 0 && product >= 0 ? product : Long.MAX_VALUE;
  }

  static int blocks(int items, int each) {
    return Math.ceilDiv(items, each);
  }
}
