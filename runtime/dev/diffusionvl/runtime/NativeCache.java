// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.io.IOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.Arrays;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.function.Consumer;
import java.util.zip.CRC32C;

/**
 * Unpacked native libraries, kept between runs: {@code -Ddvl.native.cache=FOLDER}, else $XDG_CACHE_HOME/diffusionvl, else
 * ~/.cache/diffusionvl.
 *
 * <p>A file lies in a folder named by a checksum of its content, so versions live beside each other and nothing has to be deleted.
 * It appears there by an atomic move, so that neither a process killed while writing nor two writing at once leave a half-written
 * one under its name, and it is compared with what it should be before each use. Folders are the user's alone (0700); where they
 * are not, or cannot be made, or lie on a file system whose files may not be executed, a private temporary folder serves instead, for the
 * time of loading.
 */
final class NativeCache {
  private static final System.Logger LOG = System.getLogger(NativeCache.class.getName());
  private static final Set<PosixFilePermission> PRIVATE = PosixFilePermissions.fromString("rwx------");

  private final Path root;

  /** @param root null: nothing is kept */
  NativeCache(Path root) {
    this.root = root;
  }

  /** The cache of this user. */
  static NativeCache ofUser() {
    String named = System.getProperty("dvl.native.cache");
    if (named != null) {
      return new NativeCache(Path.of(named));
    }
    String xdg = System.getenv("XDG_CACHE_HOME");
    if (xdg != null && xdg.startsWith("/")) {
      return new NativeCache(Path.of(xdg, "diffusionvl"));
    }
    String home = System.getProperty("user.home", ""); // "?" for a user that the system has no entry of
    return new NativeCache(home.startsWith("/") ? Path.of(home, ".cache", "diffusionvl") : null);
  }

  /** Calls {@code loader} with a file of this name and content; the file may be gone when the call has returned. */
  void use(String name, byte[] content, Consumer<Path> loader) {
    Path file = null;
    try {
      file = stored(name, content);
    } catch (IOException | SecurityException e) {
      LOG.log(System.Logger.Level.DEBUG, "the cache of native libraries is not used: {0}", e.toString());
    }
    if (file != null && !Files.isExecutable(file)) {
      LOG.log(System.Logger.Level.WARNING, "{0} is on a file system mounted noexec: native libraries are unpacked into {1} instead, at "
          + "each "
          + "start; -Ddvl.native.cache=FOLDER names a better place", root, System.getProperty("java.io.tmpdir"));
      file = null;
    }
    if (file != null) {
      loader.accept(file);
    } else {
      useTemporary(name, content, loader);
    }
  }

  private Path stored(String name, byte[] content) throws IOException {
    if (root == null) {
      throw new IOException("this user has no home");
    }
    makePrivate(root);
    Path folder = root.resolve(key(content));
    makePrivate(folder);
    Path file = folder.resolve(name);
    if (Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS) && Arrays.equals(Files.readAllBytes(file), content)) {
      Files.setPosixFilePermissions(file, PRIVATE);
      return file;
    }
    deleteStale(folder);
    Path part = Files.createTempFile(folder, name, ".part"); // created with mode 0600
    try {
      Files.write(part, content);
      Files.setPosixFilePermissions(part, PRIVATE); // executable, so that the system says whether it may be executed there
      Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(part);
    }
    return file;
  }

  /** Deletes what processes left that were killed while writing; writing takes milliseconds. */
  private static void deleteStale(Path folder) throws IOException {
    FileTime old = FileTime.from(Instant.now().minusSeconds(60));
    try (DirectoryStream<Path> parts = Files.newDirectoryStream(folder, "*.part")) {
      for (Path part : parts) {
        if (Files.getLastModifiedTime(part, LinkOption.NOFOLLOW_LINKS).compareTo(old) < 0) {
          Files.deleteIfExists(part);
        }
      }
    }
  }

  /** Creates the folder, or makes sure that nobody else could have put something into it. */
  private static void makePrivate(Path folder) throws IOException {
    if (!Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS)) {
      if (folder.getParent() != null) {
        Files.createDirectories(folder.getParent());
      }
      try {
        Files.createDirectory(folder, PosixFilePermissions.asFileAttribute(PRIVATE));
      } catch (java.nio.file.FileAlreadyExistsException e) {
        // Another process was faster, or it is no folder, which shows below.
      }
    }
    if (!Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS)) {
      throw new IOException(folder + " is not a folder");
    }
    if (!Files.getOwner(folder).equals(Files.getOwner(Path.of("/proc/self")))) {
      throw new IOException(folder + " belongs to " + Files.getOwner(folder));
    }
    if (!PRIVATE.containsAll(Files.getPosixFilePermissions(folder))) {
      throw new IOException(folder + " is open to others: " + PosixFilePermissions.toString(Files.getPosixFilePermissions(folder)));
    }
  }

  /** As {@link #use} with a file that is nobody else's, and gone when the call has returned. */
  static void useTemporary(String name, byte[] content, Consumer<Path> loader) {
    try {
      Path folder = Files.createTempDirectory("dvl-natives-"); // created with mode 0700
      Path file = folder.resolve(name);
      try {
        Files.write(file, content);
        Files.setPosixFilePermissions(file, PRIVATE);
        if (!Files.isExecutable(file)) {
          throw new DeviceUnavailableException("native libraries cannot be loaded from " + folder.getParent() + ", which is mounted "
              + "noexec: "
              + "name another folder with -Ddvl.native.cache=FOLDER or -Djava.io.tmpdir=FOLDER");
        }
        loader.accept(file);
      } finally {
        Files.deleteIfExists(file); // the loaded library stays mapped
        Files.deleteIfExists(folder);
      }
    } catch (ClosedByInterruptException e) {
      throw new CancellationException("unpacking of " + name + " was interrupted");
    } catch (IOException e) {
      throw new DeviceUnavailableException("cannot unpack " + name + " into a private folder in " + System.getProperty("java.io.tmpdir")
          + " (java.io.tmpdir): " + e, e);
    }
  }

  /** Tells versions apart; that the content is right is checked by comparing it. */
  static String key(byte[] content) {
    CRC32C checksum = new CRC32C();
    checksum.update(content);
    return Long.toHexString(checksum.getValue()) + "-" + Integer.toHexString(content.length);
  }
}
