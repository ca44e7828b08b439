// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;

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

  /**
   * Calls {@code loader} with a file that holds a resource: the resource itself where the class path is a folder, else an unpacked one.
   *
   * @return false when the build did not make it
   */
  static boolean use(String name, Consumer<Path> loader) {
    URL url = NativeResources.class.getResource(ROOT + name);
    if (url == null) {
      return false;
    }
    if (url.getProtocol().equals("file")) {
      loader.accept(Path.of(URI.create(url.toString())).toAbsolutePath());
    } else {
      NativeCache.ofUser().use(lastName(name), bytes(name), path -> loader.accept(path.toAbsolutePath()));
    }
    return true;
  }

  /** Loads our library of JNI methods for this class loader; false when the build did not make it. */
  static boolean loadJni(String name) {
    Consumer<Path> loader = path -> System.load(path.toString());
    synchronized (ProcessDevice.lock()) {
      if (ProcessDevice.firstWith(lastName(name))) {
        return use(name, loader);
      }
      byte[] content = bytes(name);
      if (content != null) {
        NativeCache.useTemporary(lastName(name), content, loader);
      }
      return content != null;
    }
  }

  private static String lastName(String name) {
    return name.substring(name.lastIndexOf('/') + 1);
  }
}
