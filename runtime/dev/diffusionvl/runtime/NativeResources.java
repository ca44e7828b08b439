// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;

/** Files under {@code /dvl/native} of the class path: the emulated device's libraries, our own JNI library and the compiled kernels. */
final class NativeResources {
  private static final String ROOT = "/dvl/native/";

  private NativeResources() {}

  /** Bytes of a resource, or null when the build did not make it. */
  static byte[] bytes(String name) {
    try (InputStream in = NativeResources.class.getResourceAsStream(ROOT + name)) {
      return in == null ? null : in.readAllBytes();
    } catch (IOException e) {
      throw new DeviceUnavailableException("cannot read " + ROOT + name + " from the class path", e);
    }
  }

  /**
   * A compiled kernel, or null when the build did not make it. {@code -Ddvl.kernels=FOLDER} replaces kernels: the last name of the file
   * ({@code remask.so}, {@code remask.cubin}) is looked for there first. Read at each load, for kernels under development and for tests.
   */
  static byte[] kernel(String name) {
    String folder = System.getProperty("dvl.kernels");
    if (folder != null) {
      Path file = Path.of(folder, Path.of(name).getFileName().toString());
      if (Files.isRegularFile(file)) {
        try {
          return Files.readAllBytes(file);
        } catch (IOException e) {
          throw new DeviceUnavailableException("cannot read " + file + " (dvl.kernels)", e);
        }
      }
    }
    return bytes(name);
  }

  /** Loads a library, directly where the class path is a folder, else by way of the cache; false when the build did not make it. */
  static boolean load(String name) {
    URL url = NativeResources.class.getResource(ROOT + name);
    if (url == null) {
      return false;
    }
    if (url.getProtocol().equals("file")) {
      System.load(Path.of(URI.create(url.toString())).toAbsolutePath().toString());
    } else {
      String file = name.substring(name.lastIndexOf('/') + 1);
      NativeCache.ofUser().use(file, bytes(name), path -> System.load(path.toAbsolutePath().toString()));
    }
    return true;
  }
}
