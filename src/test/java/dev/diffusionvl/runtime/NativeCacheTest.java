// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the cache of native libraries hands out, whatever it finds. */
class NativeCacheTest {
  private static final byte[] CONTENT = "a library".getBytes();

  @TempDir private Path temp;

  private Path use(NativeCache cache, byte[] content) {
    Path[] used = new Path[1];
    cache.use("lib.so", content, path -> {
      used[0] = path;
      try {
        assertArrayEquals(content, Files.readAllBytes(path));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    });
    return used[0];
  }

  private static String mode(Path path) throws IOException {
    return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
  }

  @Test
  void filesStayAndBelongToTheUserAlone() throws IOException {
    Path root = temp.resolve("new/cache");
    NativeCache cache = new NativeCache(root);
    Path first = use(cache, CONTENT);
    assertTrue(first.startsWith(root) && Files.exists(first));
    assertEquals("rwx------", mode(root));
    assertEquals("rwx------", mode(first.getParent()));
    assertEquals("rwx------", mode(first));
    var written = Files.getLastModifiedTime(first);
    assertEquals(first, use(cache, CONTENT));
    assertEquals(written, Files.getLastModifiedTime(first), "it is not written again");
    Path other = use(cache, "another version".getBytes());
    assertNotEquals(first.getParent(), other.getParent());
    assertTrue(Files.exists(first));
  }

  @Test
  void halfWrittenFilesAreReplaced() throws IOException {
    NativeCache cache = new NativeCache(temp.resolve("cache"));
    Path file = use(cache, CONTENT);
    Files.write(file, "a li".getBytes());
    assertEquals(file, use(cache, CONTENT));
    assertArrayEquals(CONTENT, Files.readAllBytes(file));
    Files.delete(file);
    Path target = Files.write(temp.resolve("target"), CONTENT);
    Files.createSymbolicLink(file, target);
    assertEquals(file, use(cache, CONTENT));
    assertFalse(Files.isSymbolicLink(file));
    try (Stream<Path> left = Files.list(file.getParent())) {
      assertEquals(List.of(file), left.toList());
    }
  }

  @Test
  void aFolderThatOthersCanReachIsNotUsed() throws IOException {
    Path open = Files.createDirectory(temp.resolve("open"));
    Files.setPosixFilePermissions(open, PosixFilePermissions.fromString("rwxrwxrwx"));
    Path link = Files.createSymbolicLink(temp.resolve("link"), Files.createDirectory(temp.resolve("elsewhere")));
    Path file = Files.createFile(temp.resolve("file"));
    for (Path root : List.of(open, link, file, file.resolve("below"), Path.of("/proc/none/cache"))) {
      Path used = use(new NativeCache(root), CONTENT);
      assertFalse(used.startsWith(root), root + " was used");
      assertFalse(Files.exists(used), "a temporary file is gone after use");
    }
  }

  @Test
  void aUserWithoutAHomeGetsNoFolderOfThatName() {
    String home = System.getProperty("user.home");
    String named = System.clearProperty("dvl.native.cache");
    try {
      System.setProperty("user.home", "?");
      assumeTrue(System.getenv("XDG_CACHE_HOME") == null);
      assertFalse(Files.exists(use(NativeCache.ofUser(), CONTENT)), "a temporary file is gone after use");
      assertFalse(Files.exists(Path.of("?")));
    } finally {
      System.setProperty("user.home", home);
      if (named != null) {
        System.setProperty("dvl.native.cache", named);
      }
    }
  }

  /** Where this user may mount: a cache whose files may not be executed, then temporary files that may not either. */
  @Test
  void noexec() throws Exception {
    Path root = Files.createDirectory(temp.resolve("noexec"));
    assumeTrue(new ProcessBuilder("mount", "-t", "tmpfs", "-o", "noexec,mode=700", "tmpfs", root.toString()).start().waitFor() == 0);
    try {
      assertFalse(use(new NativeCache(root), CONTENT).startsWith(root));
      Path folder = Files.createDirectory(root.resolve("tmp"));
      List<String> command = List.of(System.getProperty("java.home") + "/bin/java", "-Djava.io.tmpdir=" + folder,
          "-Ddvl.native.cache=" + root,
          "-Ddvl.home=.", "-cp", System.getProperty("java.class.path"), "--enable-native-access=ALL-UNNAMED",
          "dev.diffusionvl.cli.Dvl", "generate", "--prompt",
          "Hello!", "--device", "emulated");
      Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
      String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertEquals(4, process.waitFor(), said);
      assertTrue(said.contains("dvl: " + root + " is on a file system mounted noexec"), said);
      assertTrue(said.contains("dvl: native libraries cannot be loaded from " + folder + ", which is mounted noexec"), said);
      assertTrue(said.lines().allMatch(line -> line.startsWith("dvl: ")), said);
    } finally {
      assertEquals(0, new ProcessBuilder("umount", root.toString()).start().waitFor());
    }
  }

  @Test
  void manyAtOnceSeeWholeFiles() throws Exception {
    byte[] large = new byte[1 << 20];
    new java.util.Random(3).nextBytes(large);
    NativeCache cache = new NativeCache(temp.resolve("cache"));
    try (var pool = Executors.newFixedThreadPool(8)) {
      List<Callable<Path>> tasks = new ArrayList<>();
      for (int i = 0; i < 32; i++) {
        tasks.add(() -> use(cache, large));
      }
      for (Future<Path> future : pool.invokeAll(tasks)) {
        assertTrue(future.get().startsWith(temp));
      }
    }
  }
}
