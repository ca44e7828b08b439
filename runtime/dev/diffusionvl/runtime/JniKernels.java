// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

/** Loads libdvl_jni.so, the driver calls that JCuda does not bind, and checks their results. */
final class JniKernels {
  private static final boolean AVAILABLE = NativeResources.loadJni("jni/libdvl_jni.so");

  private JniKernels() {}

  /** False when this build has no libdvl_jni.so. */
  static boolean available() {
    return AVAILABLE;
  }

  /** @throws UnsupportedOperationException saying that {@code what} needs the library, when the build does not have it */
  static void require(String what) {
    if (!AVAILABLE) {
      throw new UnsupportedOperationException(what + " needs libdvl_jni.so, which is not in this build (it is made where a JDK with "
          + "jni.h is found, see jni-kernels/README.md)");
    }
  }

  /** As {@link Cuda#check}, for functions that the loaded driver may not have. */
  static void check(int status, String call, String detail) {
    if (status == JniCalls.NO_SUCH_FUNCTION) {
      throw new UnsupportedOperationException("the CUDA driver of this machine has no " + call + "; it needs a newer one");
    }
    Cuda.check(status, call, detail);
  }
}
