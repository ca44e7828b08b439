// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.loader.InputFiles;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;

/** A file of a folder by its content. */
record FileHash(String name, long bytes, String sha256) {
  private static final int PIECE_BYTES = 1 << 20;

  /** All files of a folder, several at a time, in the order of their names. */
  static List<FileHash> all(Path folder) {
    try (Stream<Path> files = Files.list(folder)) {
      List<Path> sorted = files.filter(Files::isRegularFile).sorted().toList();
      return sorted.parallelStream().map(FileHash::of).toList();
    } catch (IOException e) {
      throw InputFiles.failure(folder, e);
    }
  }

  private static FileHash of(Path file) {
    try (InputStream in = Files.newInputStream(file)) {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      byte[] piece = new byte[PIECE_BYTES];
      long bytes = 0;
      for (int count = in.read(piece); count >= 0; count = in.read(piece)) {
        digest.update(piece, 0, count);
        bytes += count;
      }
      return new FileHash(file.getFileName().toString(), bytes, HexFormat.of().formatHex(digest.digest()));
    } catch (IOException e) {
      throw InputFiles.failure(file, e);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e); // every Java has it
    }
  }
}
