// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.ClosedByInterruptException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.concurrent.CancellationException;
import java.util.regex.Pattern;

/** Reading of files that users name; every failure is a {@link BadInputException} that names the file. */
public final class InputFiles {
  /** As a path keeps it: of two slashes one is left. */
  private static final Pattern ADDRESS = Pattern.compile("(?:https?|ftp|s3|gs|hf|data):", Pattern.CASE_INSENSITIVE);

  private InputFiles() {}

  /**
   * Size in bytes of an existing regular file (links are followed).
   *
   * @throws BadInputException if there is none, or it is a directory, pipe or device
   */
  public static long requireFile(Path file) {
    if (!Files.exists(file)) {
      throw BadInputException.of(file, missing(file));
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
   * Whether an optional file is there. A link is there even if it leads nowhere, and so is a file that may not be read: what is there is
   * read or refused, never taken for absent.
   *
   * @throws BadInputException if that cannot be told
   */
  static boolean present(Path file) {
    try {
      Files.readAttributes(file, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
      return true;
    } catch (NoSuchFileException e) {
      return false;
    } catch (IOException e) {
      throw failure(file, e);
    }
  }

  /** Why there is no such file, and what to do instead where the path shows what was meant. */
  static String missing(Path file) {
    if (Files.isSymbolicLink(file)) {
      return "a link that leads nowhere";
    }
    boolean address = ADDRESS.matcher(file.toString()).lookingAt();
    return address ? "no such file; addresses are not fetched: download it and give the file" : "no such file";
  }

  /**
   * The whole file.
   *
   * @throws BadInputException if it is missing, unreadable or longer than {@code maxBytes}
   */
  public static byte[] read(Path file, int maxBytes) {
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

  /**
   * What went wrong with a file, in the words that all readers use.
   *
   * @return a {@link BadInputException}; a {@link CancellationException} if the thread was interrupted, which is no fault of the file
   */
  public static RuntimeException failure(Path file, IOException e) {
    if (e instanceof ClosedByInterruptException) {
      CancellationException cancelled = new CancellationException(file + ": reading was interrupted");
      cancelled.initCause(e);
      return cancelled;
    }
    String problem = switch (e) {
      case NoSuchFileException _ -> "no such file";
      case AccessDeniedException _ -> "permission denied";
      default -> "cannot be read: " + reason(e);
    };
    return new BadInputException(file + ": " + problem, e);
  }

  /** What an exception says; some say nothing but what they are. */
  public static String reason(Exception e) {
    return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
  }
}
