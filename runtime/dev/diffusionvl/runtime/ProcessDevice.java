// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

/**
 * What all class loaders of a process share: each has its own copy of this library's classes, and of JCuda's, but the process has one
 * driver. The CUDA libraries are therefore loaded for the process and stay, while a native library of JNI methods belongs to the class
 * loader that loaded it, and every further one needs a file of its own. System properties named {@code dvl.process.*} hold the
 * knowledge, because nothing else is visible from every class loader.
 */
final class ProcessDevice {
  private static final String PREFIX = "dvl.process.";
  private static final String KIND = PREFIX + "device";
  private static final String BUILD = PREFIX + "emulated";

  private ProcessDevice() {}

  /** Held while natives are loaded: an object that every class loader sees as the same one. */
  static Object lock() {
    return Runtime.getRuntime();
  }

  /** The kind of device that another class loader has chosen, or null. */
  static DeviceSpec.Kind chosen() {
    String kind = System.getProperty(KIND);
    return kind == null ? null : DeviceSpec.Kind.valueOf(kind);
  }

  static void choose(DeviceSpec.Kind kind) {
    System.setProperty(KIND, kind.name());
  }

  /**
   * Whether this class loader has to load the emulated device.
   *
   * @param build tells builds of the emulated device apart
   * @throws IllegalStateException if the process has loaded another build, with which this library's kernels need not fit
   */
  static boolean needsEmulated(String build) {
    String loaded = System.getProperty(BUILD);
    if (loaded != null && !loaded.equals(build)) {
      throw new IllegalStateException("another class loader of this process has loaded another build of the emulated device; use the same "
          + "version of this library in both, or a process for each");
    }
    return loaded == null;
  }

  static void loadedEmulated(String build) {
    System.setProperty(BUILD, build);
  }

  /** True for the first class loader that asks for the native library of this name. */
  static boolean firstWith(String library) {
    return System.getProperties().putIfAbsent(PREFIX + library, "loaded") == null;
  }
}
