// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * A tensor map (CUtensorMap): tells the tensor memory accelerator of compute capability 9.0 and later how to copy boxes of a buffer
 * to shared memory. A kernel takes it as a {@code const __grid_constant__ CUtensorMap} parameter: {@code
 * launch.struct(map.segment())}.
 *
 * <p>On the emulated device a map is checked and encoded, but there is no unit that copies by it. Needs the native library of
 * jni-kernels. Immutable.
 */
public final class TensorMap implements AutoCloseable {
  /** How the rows of a box, which must not be wider than the number of bytes, are spread over the banks of shared memory. */
  public enum Swizzle {
    /** Rows lie one after the other. */
    NONE,
    /** Over 32 bytes. */
    BYTES_32,
    /** Over 64 bytes. */
    BYTES_64,
    /** Over 128 bytes. */
    BYTES_128
  }

  private static final int BYTES = 128;

  private final DeviceBuffer buffer;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment map = arena.allocate(BYTES, 64);

  private TensorMap(DeviceBuffer buffer) {
    this.buffer = buffer;
  }

  /**
   * A map of a dense buffer of up to five dimensions, as its shape says (the last one innermost).
   *
   * @param box extent of the boxes in elements, one of 1 to 256 for each dimension, in the order of the shape; the last one a
   *     multiple of 16 bytes
   * @throws IllegalArgumentException when shape and box do not fit each other or the rules of the hardware
   * @throws UnsupportedOperationException when this build or the driver cannot encode tensor maps
   */
  public static TensorMap tiled(DeviceBuffer buffer, int[] box, Swizzle swizzle) {
    JniKernels.require("a tensor map");
    long[] shape = buffer.shape();
    int rank = shape.length;
    check(rank >= 1 && rank <= 5 && box.length == rank, buffer, box, "one to five dimensions, and as many of the box");
    long[] sizes = new long[2 * rank - 1];
    int[] boxes = new int[2 * rank];
    long stride = buffer.dtype().bytes();
    for (int i = 0; i < rank; i++) {
      int from = rank - 1 - i; // CUDA counts from the innermost
      check(box[from] >= 1 && box[from] <= 256, buffer, box, "a box of 1 to 256 elements a dimension");
      check(shape[from] >= 1, buffer, box, "no empty dimension");
      sizes[i] = shape[from];
      boxes[i] = box[from];
      boxes[rank + i] = 1;
      stride *= shape[from];
      if (i + 1 < rank) {
        check(stride % 16 == 0, buffer, box, "strides that are multiples of 16 bytes");
        sizes[rank + i] = stride;
      }
    }
    int row = box[rank - 1] * buffer.dtype().bytes();
    check(row % 16 == 0, buffer, box, "a box whose rows are multiples of 16 bytes");
    check(swizzle == Swizzle.NONE || row <= 16 << swizzle.ordinal(), buffer, box, "rows of the box no wider than the swizzle");
    TensorMap result = new TensorMap(buffer);
    int status = JniCalls.encodeTiled(result.map.address(), type(buffer.dtype()), buffer.address(), rank, sizes, boxes, swizzle.ordinal());
    if (status != 0) {
      result.arena.close();
      JniKernels.check(status, "cuTensorMapEncodeTiled", buffer + ", box " + Arrays.toString(box) + ", swizzle " + swizzle);
    }
    return result;
  }

  private static void check(boolean ok, DeviceBuffer buffer, int[] box, String rule) {
    if (!ok) {
      throw new IllegalArgumentException("tensor map of " + buffer + " with box " + Arrays.toString(box) + ": needs " + rule);
    }
  }

  private static int type(DType dtype) { // CUtensorMapDataType
    return switch (dtype) {
      case U8 -> 0;
      case I32 -> 3;
      case F32 -> 7;
      case F64 -> 8;
      case BF16 -> 9;
    };
  }

  /**
   * The 128 bytes of the map, for {@link Launch#struct}.
   *
   * @throws IllegalStateException after close, of the map or of its buffer
   */
  public MemorySegment segment() {
    buffer.address();
    if (!arena.scope().isAlive()) {
      throw new IllegalStateException("tensor map of " + buffer + " is closed");
    }
    return map;
  }

  /** Frees the host memory of the map; launches have their own copy. Idempotent. */
  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
