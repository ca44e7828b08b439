// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * A new folder that is whole or not there: filled beside its place under a random name of its own and renamed by {@link #commit}.
 * Closing it without a commit removes it with all that is inside. For one thread at a time.
 */
public final class OutputFolder implements AutoCloseable {
  private final Path target;
  private final Path aside;
  private boolean committed;

  private OutputFolder(Path target, Path aside) {
    this.target = target;
    this.aside = aside;
  }

  /**
   * @param target must not exist; the folder that it is to be in must
   * @throws BadInputException if it exists or cannot be made there
   * @throws OutputException if the disk is full
   */
  public static OutputFolder create(Path target) {
    if (Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
      throw BadInputException.of(target, "is there already");
    }
    Path aside = aside(target);
    try {
      Files.createDirectory(aside);
    } catch (IOException e) {
      throw OutputFile.unwritable(target, e);
    }
    return new OutputFolder(target, aside);
  }

  /** A name beside a path that nobody can foresee, which {@link #removeUnfinished} knows. */
  public static Path aside(Path target) {
    return OutputFile.aside(target);
  }

  /**
   * A folder that may be there already, and those above it.
   *
   * @throws BadInputException if it cannot be made there
   * @throws OutputException if the disk is full
   */
  public static void make(Path folder) {
    try {
      Files.createDirectories(folder);
    } catch (FileAlreadyExistsException e) {
      throw BadInputException.of(folder, "is not a folder");
    } catch (IOException e) {
      throw OutputFile.unwritable(folder, e);
    }
  }

  /**
   * Removes what a program that was killed was about to write in a folder, as {@link OutputFile} or as OutputFolder. Only where no other
   * program writes at the time.
   *
   * @throws OutputException if it cannot be removed
   */
  public static void removeUnfinished(Path folder) {
    List<Path> unfinished;
    try (Stream<Path> all = Files.list(folder)) {
      unfinished = all.filter(OutputFile::isAside).toList();
    } catch (IOException e) {
      throw InputFiles.failure(folder, e);
    }
    unfinished.forEach(OutputFolder::remove);
  }

  /** Where the files go until {@link #commit}. */
  public Path path() {
    return aside;
  }

  /** Gives the folder its name. */
  public void commit() {
    try {
      if (Files.exists(target, LinkOption.NOFOLLOW_LINKS)) { // made by someone else meanwhile; an empty folder would be replaced
        throw BadInputException.of(target, "is there already");
      }
      OutputFile.flushFolder(aside);
      Files.move(aside, target, StandardCopyOption.ATOMIC_MOVE);
      committed = true;
      OutputFile.flushFolder(target.toAbsolutePath().getParent());
    } catch (IOException e) {
      throw OutputFile.failure(target, e);
    }
  }

  /** Removes what was not committed. Idempotent. */
  @Override
  public void close() {
    if (!committed) {
      remove(aside);
    }
  }

  /**
   * Removes a folder and what is in it, if it is there; links are removed, not followed.
   *
   * @throws OutputException if it cannot be removed
   */
  public static void remove(Path folder) {
    if (!Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    try (Stream<Path> files = Files.walk(folder)) { // does not follow links
      List<Path> all = files.sorted(Comparator.reverseOrder()).toList();
      for (Path file : all) {
        Files.delete(file);
      }
    } catch (IOException e) {
      throw OutputFile.failure(folder, e);
    }
  }
}
