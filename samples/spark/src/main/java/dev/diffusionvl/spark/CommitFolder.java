// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import dev.diffusionvl.loader.BadInputException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.fs.FileContext;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.Path;

/**
 * A table that grows by whole commits: {@code commit=000000}, {@code commit=000001} and so on, each a folder of Parquet files. A commit is
 * written in {@code _staging}, where no reader looks, and published by renaming its folder, which is atomic on a local disk, HDFS and other
 * file systems with real folders (object stores have none: there use a table format).
 *
 * <p>Why no row is there twice: a run reads the ids of all commits that it has listed, writes other ids, and publishes under the number
 * behind the last one listed. A name is taken once only. So whoever publishes commit k has seen the ids of all before it; a run that has
 * not finds the name taken and stops. Why none is lost: what is not in a published commit is asked again. A killed run leaves a folder in
 * {@code _staging}, which the next one renames before it deletes it, so a run that is still alive cannot publish a part of it.
 */
final class CommitFolder {
  private static final String PREFIX = "commit=";
  private static final String SETTINGS = "_settings";

  private final Path folder;
  private final Path staging;
  private final FileSystem files;
  private final Configuration hadoop;
  private final List<Path> commits = new ArrayList<>();

  CommitFolder(String name, Configuration hadoop) throws IOException {
    this.hadoop = hadoop;
    files = new Path(name).getFileSystem(hadoop);
    folder = files.makeQualified(new Path(name));
    staging = new Path(folder, "_staging");
    for (FileStatus entry : files.exists(folder) ? files.listStatus(folder) : new FileStatus[0]) {
      if (entry.getPath().getName().matches(PREFIX + "[0-9]{6,18}")) {
        commits.add(entry.getPath());
      } else if (!entry.getPath().getName().matches("[._].*")) {
        throw new BadInputException(folder + ": " + entry.getPath().getName() + " is no commit: this program has not made the folder");
      }
    }
    commits.sort(Comparator.comparingLong(CommitFolder::number));
  }

  private static long number(Path commit) {
    return Long.parseLong(commit.getName().substring(PREFIX.length()));
  }

  /** Those that were there when this object was made, and those published since. */
  List<Path> commits() {
    return List.copyOf(commits);
  }

  /** A new name in the staging area. */
  Path stage() {
    return new Path(staging, UUID.randomUUID().toString());
  }

  /** Adds to a folder of the staging area what its answers depend on, in lines of text; before its rows are counted. */
  void note(Path staged, List<String> settings) throws IOException {
    try (FSDataOutputStream out = files.create(new Path(staged, SETTINGS))) {
      out.write(String.join("\n", settings).getBytes(StandardCharsets.UTF_8));
    }
  }

  /**
   * Makes a finished folder of the staging area the next commit.
   *
   * @throws BadInputException if another run has published meanwhile, or cleaned up
   */
  void publish(Path staged) throws IOException {
    long next = commits.isEmpty() ? 0 : number(commits.getLast()) + 1;
    Path commit = new Path(folder, "%s%06d".formatted(PREFIX, next));
    try {
      rename(staged, commit);
    } catch (AccessDeniedException | AtomicMoveNotSupportedException e) {
      throw e;
    } catch (FileAlreadyExistsException | FileNotFoundException | FileSystemException e) {
      throw new BadInputException(folder + ": another run writes to this folder: " + e.getMessage(), e);
    }
    commits.add(commit);
  }

  private void rename(Path from, Path to) throws IOException {
    if (from.toUri().getScheme().equals("file")) { // Hadoop copies where the system refuses to rename
      Files.move(java.nio.file.Path.of(from.toUri().getPath()), java.nio.file.Path.of(to.toUri().getPath()),
          StandardCopyOption.ATOMIC_MOVE);
    } else {
      FileContext.getFileContext(from.toUri(), hadoop).rename(from, to, Options.Rename.NONE);
    }
  }

  /** Removes what runs that were killed have left. */
  void clean() throws IOException {
    for (FileStatus left : files.exists(staging) ? files.listStatus(staging) : new FileStatus[0]) {
      Path dead = stage();
      rename(left.getPath(), dead);
      files.delete(dead, true);
    }
  }

  /**
   * What the answers of the last commit depend on.
   *
   * @return lines of text; none if there is no commit
   */
  List<String> settings() throws IOException {
    if (commits.isEmpty()) {
      return List.of();
    }
    try (FSDataInputStream in = files.open(new Path(commits.getLast(), SETTINGS))) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().toList();
    }
  }
}
