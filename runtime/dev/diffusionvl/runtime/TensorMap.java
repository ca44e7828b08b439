// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jcuda.driver.CUresult;

/**
 * A tensor map (CUtensorMap): how a kernel's bulk copies take boxes of a buffer of 16-bit numbers into shared memory, from compute
 * capability 9.0 on. Lines of a box have 64 numbers and lie behind each other, their 16-byte pieces swizzled over 128 bytes; what is
 * outside the buffer's shape is zero. A kernel takes it as {@code const __grid_constant__ dvl::TensorMap}: {@link Launch#map}.
 *
 * <p>Host memory, which the garbage collector frees; launches and graphs have their own copy. Immutable.
 */
public final class TensorMap {
  /** Numbers in a line of a box. */
  public static final int LINE = 64;

  static final int BYTES = 128;
  private static final int SWIZZLE_128 = 3; // CU_TENSOR_MAP_SWIZZLE_128B
  private static final int MOST = 256; // of a box in a dimension

  private static final boolean AVAILABLE = JniKernels.available() && canMake();

  private final DeviceBuffer buffer;
  private final MemorySegment map = Arena.ofAuto().allocate(BYTES, BYTES);

  private TensorMap(DeviceBuffer buffer) {
    this.buffer = buffer;
  }

  /** Whether the loaded driver makes them, by what it says of an impossible one. */
  private static boolean canMake() {
    int status = encode(Arena.ofAuto().allocate(BYTES, BYTES), DType.BF16, 0, new long[] {1, LINE}, new int[] {MOST + 1, LINE});
    return status != JniCalls.NO_SUCH_FUNCTION && status != CUresult.CUDA_ERROR_NOT_SUPPORTED;
  }

  static boolean available() {
    return AVAILABLE;
  }

  /**
   * A map of a dense buffer.
   *
   * @param buffer BF16 or F16, 16-byte aligned
   * @param shape two to five dimensions, the last one innermost and a multiple of 8
   * @param box extent of the boxes, as many dimensions of 1 to 256 numbers; the last one is {@value #LINE}
   * @throws IllegalArgumentException when buffer, shape and box do not fit each other or the rules of the hardware
   * @throws UnsupportedOperationException when this build or the driver cannot encode tensor maps
   */
  public static TensorMap of(DeviceBuffer buffer, long[] shape, int[] box) {
    JniKernels.require("a tensor map");
    int rank = shape.length;
    check(buffer.dtype() == DType.BF16 || buffer.dtype() == DType.F16, buffer, shape, box, "numbers of 16 bits");
    check(rank >= 2 && rank <= 5 && box.length == rank, buffer, shape, box, "two to five dimensions, and as many of the box");
    check(shape[rank - 1] % 8 == 0 && box[rank - 1] == LINE, buffer, shape, box, "lines of multiples of 8, and of " + LINE + " in the box");
    check(Arrays.stream(shape).allMatch(n -> n >= 1) && Arrays.stream(box).allMatch(n -> n >= 1 && n <= MOST), buffer, shape, box,
        "no empty dimension and a box of 1 to " + MOST);
    check(Arrays.stream(shape).reduce(buffer.elements(), (left, n) -> left / n) >= 1, buffer, shape, box, "a shape inside the buffer");
    TensorMap result = new TensorMap(buffer);
    JniKernels.check(encode(result.map, buffer.dtype(), buffer.address(), shape, box), "cuTensorMapEncodeTiled",
        buffer + ", shape " + Arrays.toString(shape) + ", box " + Arrays.toString(box)
            + "; -Ddvl.ring=false runs this library's products without tensor maps");
    return result;
  }

  private static int encode(MemorySegment map, DType dtype, long address, long[] shape, int[] box) {
    int rank = shape.length;
    long[] sizes = new long[2 * rank - 1]; // CUDA counts from the innermost: dimensions, then strides of all but the first
    int[] boxes = new int[rank];
    long stride = dtype.bytes();
    for (int i = 0; i < rank; i++) {
      sizes[i] = shape[rank - 1 - i];
      boxes[i] = box[rank - 1 - i];
      stride *= sizes[i];
      if (i + 1 < rank) {
        sizes[rank + i] = stride;
      }
    }
    int type = dtype == DType.F16 ? 6 : 9; // CU_TENSOR_MAP_DATA_TYPE_FLOAT16, _BFLOAT16
    return JniCalls.encodeTiled(map.address(), type, address, rank, sizes, boxes, SWIZZLE_128);
  }

  private static void check(boolean ok, DeviceBuffer buffer, long[] shape, int[] box, String rule) {
    if (!ok) {
      throw new IllegalArgumentException("tensor map of %s as %s with box %s: needs %s".formatted(buffer, Arrays.toString(shape),
          Arrays.toString(box), rule));
    }
  }

  /** What it is of; a launch refuses it when that is closed. */
  DeviceBuffer buffer() {
    return buffer;
  }

  /** The map's bytes. */
  MemorySegment bytes() {
    return map;
  }
}
