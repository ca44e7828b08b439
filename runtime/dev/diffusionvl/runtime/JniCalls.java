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

  /** Fills in the sizes in bytes of a kernel's parameters; returns their number, or -1 when the driver does not tell. */
  static native int parameterSizes(long function, int[] sizes);

  /** Fills in kinds of a kernel's parameters ({@link Launch}); returns for how many, which is 0 when the driver does not tell. */
  static native int parameterKinds(long function, byte[] kinds);
}
