// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.net.URI;
import java.net.URL;
import java.nio.file.Path;

/** The native build's folder, found by what the class path has of it. */
final class NativeFiles {
  private NativeFiles() {}

  /** A file or folder of the native build that is not packaged, e.g. {@code stand-in/libcublas.so.13}. */
  static Path of(String name) {
    URL known = NativeFiles.class.getResource("/dvl/native/emulated/libcuda.so.1");
    assertNotNull(known, "the emulated device is not built");
    // Packaged resources are copied to target/classes; the build's own folder is target/native.
    Path folder = Path.of(URI.create(known.toString())).getParent().getParent();
    Path here = folder.resolve(name);
    if (java.nio.file.Files.exists(here)) {
      return here;
    }
    return folder.getParent().getParent().getParent().resolve("native").resolve(name);
  }
}
