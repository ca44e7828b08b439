// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * A file that is whole or not there. It is written in the same folder under a random name of its own, flushed to the disk by
 * {@link #commit}, and only then renamed. Closing it without a commit leaves the folder as it was. For one thread at a time.
 */
public final class OutputFile implements AutoCloseable {
  private static final int PIECE_BYTES = 8 << 20;
  private static final Pattern ASIDE = Pattern.compile("\\..+\\.[0-9a-f]{16}\\.part");
  private static final SecureRandom RANDOM = new SecureRandom();

  private final Path target;
  /** What is written to: a file beside the target, or the target itself where that is a pipe or a device. */
  private final Path written;
  private final FileChannel channel;
  private boolean committed;

  private OutputFile(Path target, boolean aside) {
    this.target = target;
    this.written = aside ? aside(target) : target;
    try {
      // CREATE_NEW fails on whatever has that name, links included
      channel = FileChannel.open(written, aside
          ? Set.of(StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW, LinkOption.NOFOLLOW_LINKS)
          : Set.of(StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS));
    } catch (IOException e) {
      throw unwritable(target, e);
    }
  }

  /** A name that nobody can foresee, in the same folder. */
  static Path aside(Path target) {
    byte[] bytes = new byte[8];
    RANDOM.nextBytes(bytes);
    return target.resolveSibling("." + target.getFileName() + "." + HexFormat.of().formatHex(bytes) + ".part");
  }

  /** Whether a name is one of {@link #aside}. */
  static boolean isAside(Path file) {
    return ASIDE.matcher(file.getFileName().toString()).matches();
  }

  /**
   * A file in a folder of ours: {@link #commit} replaces a file or a link of that name. What a link points at is never touched.
   *
   * @throws BadInputException if no file can be made there
   * @throws OutputException if the disk is full
   */
  public static OutputFile create(Path target) {
    if (Files.exists(target, LinkOption.NOFOLLOW_LINKS) && !Files.isSymbolicLink(target)
        && !Files.isRegularFile(target, LinkOption.NOFOLLOW_LINKS)) {
      throw BadInputException.of(target, Files.isDirectory(target) ? "a directory, not a file" : "not a regular file");
    }
    return new OutputFile(target, true);
  }

  /**
   * A file that a user named: a link stays, and the file that it points at is replaced; a pipe or a device is written to as it is.
   *
   * @throws BadInputException if no file can be made there
   * @throws OutputException if the disk is full
   */
  public static OutputFile open(Path named) {
    if (!Files.exists(named, LinkOption.NOFOLLOW_LINKS)) {
      return create(named);
    }
    Path target = real(named);
    return special(target) ? new OutputFile(target, false) : create(target);
  }

  /**
   * Fails as {@link #open} would, before work is done for a file. A pipe is not opened: that would wait for its reader.
   *
   * @throws BadInputException if no file can be made there
   * @throws OutputException if the disk is full
   */
  public static void requireWritable(Path named) {
    if (!Files.exists(named, LinkOption.NOFOLLOW_LINKS) || !special(real(named))) {
      open(named).close();
    } else if (!Files.isWritable(named)) {
      throw BadInputException.of(named, "cannot be written: permission denied");
    }
  }

  private static Path real(Path named) {
    try {
      return named.toRealPath();
    } catch (IOException e) {
      throw new BadInputException(named + ": cannot be written: a link that leads nowhere", e);
    }
  }

  private static boolean special(Path target) {
    return !Files.isRegularFile(target) && !Files.isDirectory(target);
  }

  /**
   * Appends a line to a file that a user named, which is made if it is not there; links, pipes and devices as with {@link #open}.
   *
   * @throws BadInputException if no file can be made there
   * @throws OutputException if the disk is full
   */
  public static void append(Path named, String line) {
    Path target = Files.exists(named, LinkOption.NOFOLLOW_LINKS) ? real(named) : named;
    Set<OpenOption> how = Files.exists(target) && special(target) ? Set.of(StandardOpenOption.WRITE)
        : Set.of(StandardOpenOption.CREATE, StandardOpenOption.APPEND, LinkOption.NOFOLLOW_LINKS);
    try (FileChannel channel = FileChannel.open(target, how)) {
      for (ByteBuffer bytes = StandardCharsets.UTF_8.encode(line + "\n"); bytes.hasRemaining(); ) {
        channel.write(bytes);
      }
    } catch (IOException e) {
      throw unwritable(target, e);
    }
  }

  /** Writes a whole small file by {@link #create}. */
  public static void write(Path target, byte[] content) {
    try (OutputFile file = create(target)) {
      file.write(MemorySegment.ofArray(content));
      file.commit();
    }
  }

  /** Appends bytes. */
  public void write(MemorySegment bytes) {
    try {
      for (long at = 0; at < bytes.byteSize(); at += PIECE_BYTES) {
        ByteBuffer piece = bytes.asSlice(at, Math.min(PIECE_BYTES, bytes.byteSize() - at)).asByteBuffer();
        while (piece.hasRemaining()) {
          channel.write(piece);
        }
      }
    } catch (IOException e) {
      throw failure(target, e);
    }
  }

  /** Appends zeros, which take no space on the disk where its file system has holes. */
  public void writeZeros(long bytes) {
    try {
      channel.position(channel.position() + bytes);
    } catch (IOException e) {
      throw failure(target, e);
    }
  }

  /** Bytes that have been written. */
  public long position() {
    try {
      return channel.position();
    } catch (IOException e) {
      throw failure(target, e);
    }
  }

  /**
   * Flushes the file to the disk and gives it its name. Nothing can be written afterwards.
   *
   * @throws OutputException if the disk is full; no file is left then
   */
  public void commit() {
    try {
      if (written != target) {
        long end = channel.position();
        if (channel.size() < end) { // it ends with a hole
          channel.write(ByteBuffer.allocate(1), end - 1);
        }
        channel.force(true);
        Files.move(written, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        committed = true;
        flushFolder(target.toAbsolutePath().getParent());
      }
      committed = true;
      channel.close();
    } catch (IOException e) {
      throw failure(target, e);
    }
  }

  /** Without this the new name may be lost when the power fails. */
  static void flushFolder(Path folder) throws IOException {
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }

  static RuntimeException unwritable(Path target, IOException e) {
    return switch (e) {
      case AccessDeniedException _ -> new BadInputException(target + ": cannot be written: permission denied", e);
      case NoSuchFileException _ -> new BadInputException(target + ": cannot be written: no such folder", e);
      case FileSystemException f when "Not a directory".equals(f.getReason()) || "Read-only file system".equals(f.getReason())
          || "File name too long".equals(f.getReason()) || "Is a directory".equals(f.getReason())
          -> new BadInputException(target + ": cannot be written: " + f.getReason(), e);
      default -> failure(target, e);
    };
  }

  /**
   * Brings to the disk what was appended to a file.
   *
   * @throws OutputException if that fails
   */
  public static void flush(Path file) {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.force(true);
    } catch (IOException e) {
      throw failure(file, e);
    }
  }

  static OutputException failure(Path target, IOException e) {
    String reason = switch (e) {
      case ClosedByInterruptException _ -> "writing was interrupted";
      case FileSystemException f when f.getReason() != null -> "cannot be written: " + f.getReason();
      default -> "cannot be written: " + InputFiles.reason(e);
    };
    return new OutputException(target, reason, e);
  }

  /** Removes what was not committed. Idempotent. */
  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      // what counts has been reported by commit, or is thrown away here
    }
    if (!committed && written != target) {
      try {
        Files.deleteIfExists(written);
      } catch (IOException e) {
        throw failure(target, e);
      }
    }
  }
}
