// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.InputFiles;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.List;
import java.util.regex.Pattern;

/** The keys that clients may show. Held as digests of equal length, so that a comparison takes as long for every key that is wrong. */
public final class ApiKeys {
  /** Nobody is asked for a key. */
  public static final ApiKeys NONE = new ApiKeys(List.of());

  private static final int MAX_FILE_BYTES = 1 << 20;
  private static final Pattern SENDABLE = Pattern.compile("[!-~]+");

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
    List<String> lines = new String(InputFiles.read(file, MAX_FILE_BYTES), StandardCharsets.UTF_8).lines().map(String::strip).toList();
    List<String> keys = lines.stream().filter(line -> !line.isEmpty() && !line.startsWith("#")).toList();
    if (keys.isEmpty()) {
      throw BadInputException.of(file, "holds no key");
    }
    for (String key : keys) {
      if (!SENDABLE.matcher(key).matches()) { // the key itself is nobody's business
        throw BadInputException.of(file, "line " + (lines.indexOf(key) + 1) + " is no key: a header holds printable ASCII without spaces");
      }
    }
    return new ApiKeys(keys);
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
