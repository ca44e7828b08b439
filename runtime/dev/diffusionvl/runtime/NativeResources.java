// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;


import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.stream.Stream;

/** Files under {@code /dvl/native} of the class path: the emulated device's libraries and the compiled kernels. */
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

  /** A file with the resource's content: the file itself when the class path is a folder, else a copy in {@code dir}. */
  static Path file(String name, Path dir) {
    URL url = NativeResources.class.getResource(ROOT + name);
    if (url == null) {
      return null;
    }
    if (url.getProtocol().equals("file")) {
      return Path.of(URI.create(url.toString()));
    }
    try {
      return Files.write(dir.resolve(Path.of(name).getFileName().toString()), bytes(name));
    } catch (IOException e) {
      throw new DeviceUnavailableException("cannot unpack " + name + " into " + dir, e);
    }
  }

  /** A folder that only this user can read; natives are never unpacked into a shared place. */
  static Path privateDirectory() {
    try {
      return Files.createTempDirectory("dvl-natives-"); // created with mode 0700
    } catch (IOException e) {
      throw new DeviceUnavailableException("cannot create a private folder in java.io.tmpdir", e);
    }
  }

  /** Deletes an unpacked folder; the loaded libraries stay mapped. */
  static void delete(Path dir) {
    try (Stream<Path> files = Files.walk(dir)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(file);
      }
    } catch (IOException e) {
      // A left-over file in a private folder of the temporary directory does no harm.
    }
  }
}
