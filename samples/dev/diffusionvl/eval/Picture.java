// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.RgbImage;
import java.nio.file.Path;

/** An image of a question, decoded when it is asked for. */
public sealed interface Picture {
  /** How messages call it. */
  String name();

  /** @throws dev.diffusionvl.loader.BadInputException naming the image that cannot be used */
  RgbImage read();

  /** The folder that names of images in a file are relative to. @param imagesOrNull that a user named; null: the file's own */
  static Path folder(Path file, Path imagesOrNull) {
    return imagesOrNull != null ? imagesOrNull : file.toAbsolutePath().getParent();
  }

  /** @param name relative to the folder */
  record InFile(Path folder, String name) implements Picture {
    @Override
    public RgbImage read() {
      return ImageFiles.read(folder, name);
    }
  }

  /** @param file the bytes of an image file, which nobody changes */
  record InBytes(String name, byte[] file) implements Picture {
    @Override
    public RgbImage read() {
      return ImageFiles.decode(file, name);
    }
  }
}
