// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.InputFiles;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.List;

/** The keys that clients may show. Held as digests of equal length, so that a comparison takes as long for every key that is wrong. */
public final class ApiKeys {
  /** Nobody is asked for a key. */
  public static final ApiKeys NONE = new ApiKeys(List.of());

  private static final int MAX_FILE_BYTES = 1 << 20;

  private final List<byte[]> digests;

  private ApiKeys(List<String> keys) {
    digests = keys.stream().map(ApiKeys::digest).toList();
  }

  /**
   * The keys of a file, one a line; blank lines and lines that begin with {@code #} are skipped.
   *
   * @throws BadInputException if the file cannot be read or holds no key
   */
  public static ApiKeys read(Path file) {
    try {
      if (Files.size(file) > MAX_FILE_BYTES) {
        throw BadInputException.of(file, "more than " + MAX_FILE_BYTES + " bytes, which is no list of keys");
      }
      List<String> keys = Files.readAllLines(file).stream().map(String::strip).filter(l -> !l.isEmpty() && !l.startsWith("#")).toList();
      if (keys.isEmpty()) {
        throw BadInputException.of(file, "holds no key");
      }
      return new ApiKeys(keys);
    } catch (IOException e) {
      throw InputFiles.failure(file, e);
    }
  }

  /** Whether clients need no key. */
  public boolean open() {
    return digests.isEmpty();
  }

  /** @param header the field {@code Authorization}, or null */
  boolean admit(String header) {
    if (open()) {
      return true;
    }
    if (header == null || !header.regionMatches(true, 0, "Bearer ", 0, 7)) {
      return false;
    }
    byte[] shown = digest(header.substring(7).strip());
    boolean known = false;
    for (byte[] key : digests) {
      known |= MessageDigest.isEqual(key, shown);
    }
    return known;
  }

  private static byte[] digest(String key) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(key.getBytes(StandardCharsets.UTF_8));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e); // every Java has it
    }
  }
}
