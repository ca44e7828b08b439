// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

/**
 * The functions of libdvl_jni.so. Pointers and addresses are longs; a result is the driver's status, or {@link #NO_SUCH_FUNCTION}.
 * Names no other class, so that the native build can make the C++ header from this file alone.
 */
final class JniCalls {
  /** The loaded driver is too old to have the function. */
  static final int NO_SUCH_FUNCTION = -1;

  private JniCalls() {}

  /** Queues a launch that may start while the one before it ends; {@code parameters} points to the addresses of the values. */
  static native int launchOverlapping(long function, long parameters, int gridX, int gridY, int gridZ, int blockX, int blockY, int blockZ,
      int sharedBytes, long stream);

  /**
   * Encodes a tensor map into the 128 bytes at {@code map}, a multiple of 64; innermost dimension first, no element is skipped, zeros
   * outside.
   *
   * @param type CUtensorMapDataType
   * @param sizes {@code rank} dimensions in elements, then rank - 1 strides in bytes
   * @param boxes {@code rank} extents of the box
   * @param swizzle CUtensorMapSwizzle
   */
  static native int encodeTiled(long map, int type, long address, int rank, long[] sizes, int[] boxes, int swizzle);

  /** Fills in the sizes in bytes of a kernel's parameters; returns their number, or -1 when the driver does not tell. */
  static native int parameterSizes(long function, int[] sizes);

  /** Fills in kinds of a kernel's parameters ({@link Launch}); returns for how many, which is 0 when the driver does not tell. */
  static native int parameterKinds(long function, byte[] kinds);
}
