// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** Reading of files that users name; every failure is a {@link BadInputException} that names the file. */
public final class InputFiles {
  private InputFiles() {}

  /**
   * Size in bytes of an existing regular file (links are followed).
   *
   * @throws BadInputException if there is none, or it is a directory, pipe or device
   */
  public static long requireFile(Path file) {
    if (!Files.exists(file)) {
      throw BadInputException.of(file, "no such file");
    }
    if (!Files.isRegularFile(file)) {
      throw BadInputException.of(file, Files.isDirectory(file) ? "a directory, not a file" : "not a regular file");
    }
    try {
      return Files.size(file);
    } catch (IOException e) {
      throw failure(file, e);
    }
  }

  /**
   * The whole file.
   *
   * @throws BadInputException if it is missing, unreadable or longer than {@code maxBytes}
   */
  static byte[] read(Path file, int maxBytes) {
    long size = requireFile(file);
    if (size > maxBytes) {
      throw BadInputException.of(file, "is " + size + " bytes long, the limit for such a file is " + maxBytes);
    }
    // the file may grow meanwhile: never read more than the limit
    try (InputStream in = Files.newInputStream(file)) {
      return in.readNBytes(maxBytes);
    } catch (IOException e) {
      throw failure(file, e);
    }
  }

  /** What went wrong with a file, in the words that all readers use. */
  public static BadInputException failure(Path file, IOException e) {
    String problem = switch (e) {
      case NoSuchFileException _ -> "no such file";
      case AccessDeniedException _ -> "permission denied";
      default -> "cannot be read: " + e.getMessage();
    };
    return new BadInputException(file + ": " + problem, e);
  }
}
