// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OutputFileTest {
  @TempDir
  private Path folder;

  private static MemorySegment text(String text) {
    return MemorySegment.ofArray(text.getBytes(StandardCharsets.UTF_8));
  }

  private List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(f -> f.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void nothingIsThereBeforeTheCommit() throws IOException {
    Path target = folder.resolve("out");
    Files.writeString(target, "old");
    try (OutputFile file = OutputFile.create(target)) {
      file.write(text("new"));
      assertEquals("old", Files.readString(target));
      assertEquals(2, names().size());
      file.commit();
      assertEquals("new", Files.readString(target));
    }
    try (OutputFile file = OutputFile.create(target)) {
      file.write(text("never"));
      file.close();
      assertThrows(OutputException.class, () -> file.write(text("more")));
    }
    assertEquals("new", Files.readString(target));
    assertEquals(List.of("out"), names());
  }

  @Test
  void zerosAreHoles() throws IOException {
    Path target = folder.resolve("sparse");
    try (OutputFile file = OutputFile.create(target)) {
      file.write(text("a"));
      file.writeZeros(0);
      file.writeZeros(3);
      file.write(text("b"));
      file.writeZeros(2);
      assertEquals(7, file.position());
      file.commit();
    }
    assertEquals("a\0\0\0b\0\0", Files.readString(target));
  }

  @Test
  void linksAreReplacedAndNotFollowed() throws IOException {
    Path precious = Files.writeString(folder.resolve("precious"), "keep");
    Path link = Files.createSymbolicLink(folder.resolve("link"), precious);
    OutputFile.write(link, "new".getBytes(StandardCharsets.UTF_8));
    assertEquals("keep", Files.readString(precious));
    assertEquals("new", Files.readString(link));
    assertFalse(Files.isSymbolicLink(link));
    Path dangling = Files.createSymbolicLink(folder.resolve("dangling"), folder.resolve("nowhere"));
    OutputFile.write(dangling, new byte[1]);
    assertTrue(Files.isRegularFile(dangling, LinkOption.NOFOLLOW_LINKS));
    assertFalse(Files.exists(folder.resolve("nowhere")));
  }

  @Test
  void linksThatAUserNamesStay() throws IOException {
    Path real = Files.writeString(folder.resolve("real"), "old");
    Path link = Files.createSymbolicLink(folder.resolve("link"), real);
    try (OutputFile file = OutputFile.open(link)) {
      file.write(text("new"));
      file.commit();
    }
    assertTrue(Files.isSymbolicLink(link));
    assertEquals("new", Files.readString(real));
    Path dangling = Files.createSymbolicLink(folder.resolve("dangling"), folder.resolve("nowhere"));
    String message = assertThrows(BadInputException.class, () -> OutputFile.open(dangling)).getMessage();
    assertEquals(dangling + ": cannot be written: a link that leads nowhere", message);
  }

  @Test
  void pipesAreWrittenThrough() throws Exception {
    Path pipe = folder.resolve("pipe");
    Assumptions.assumeTrue(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor() == 0);
    OutputFile.requireWritable(pipe);
    CompletableFuture<String> read = CompletableFuture.supplyAsync(() -> {
      try {
        return Files.readString(pipe);
      } catch (IOException e) {
        throw new AssertionError(e);
      }
    });
    try (OutputFile file = OutputFile.open(pipe)) {
      file.write(text("through"));
      file.commit();
    }
    assertEquals("through", read.get());
    assertThrows(BadInputException.class, () -> OutputFile.create(pipe));
    assertEquals(List.of("pipe"), names());
  }

  @Test
  void linesAreAppended() throws IOException {
    Path real = folder.resolve("real");
    Path link = Files.createSymbolicLink(folder.resolve("link"), real);
    assertThrows(BadInputException.class, () -> OutputFile.append(link, "lost"), "a link that leads nowhere");
    OutputFile.append(real, "ä");
    OutputFile.append(link, "b");
    assertEquals(List.of("ä", "b"), Files.readAllLines(real));
    assertEquals(List.of("link", "real"), names());
    assertThrows(BadInputException.class, () -> OutputFile.append(folder, "a folder"));
    assertThrows(BadInputException.class, () -> OutputFile.append(folder.resolve("no/folder"), "x"));
    Assumptions.assumeTrue(Files.exists(Path.of("/dev/full")));
    assertThrows(OutputException.class, () -> OutputFile.append(Path.of("/dev/full"), "x"));
  }

  @Test
  void badPlacesAreNamed() throws IOException {
    Files.writeString(folder.resolve("file"), "");
    for (String place : new String[] {"no/folder", "file/inside", ".", "x".repeat(300)}) {
      Path target = folder.resolve(place);
      String message = assertThrows(BadInputException.class, () -> OutputFile.create(target)).getMessage();
      assertTrue(message.startsWith(target.toString()), message);
      assertThrows(BadInputException.class, () -> OutputFile.requireWritable(target));
    }
    OutputFile.requireWritable(folder.resolve("new"));
    OutputFile.requireWritable(folder.resolve("file"));
    assertEquals(List.of("file"), names());
  }

  /** /dev/full refuses every byte as a full disk does. */
  @Test
  void fullDeviceIsNoBadInput() {
    Path full = Path.of("/dev/full");
    Assumptions.assumeTrue(Files.exists(full));
    try (OutputFile file = OutputFile.open(full)) {
      String message = assertThrows(OutputException.class, () -> file.write(text("x"))).getMessage();
      assertEquals("/dev/full: cannot be written: No space left on device", message);
    }
  }

  /** A file system of 64 KiB, where this user may make one. */
  @Test
  void fullDiskLeavesNothing() throws Exception {
    Path small = Files.createDirectory(folder.resolve("small"));
    Assumptions.assumeTrue(new ProcessBuilder("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small.toString()).start().waitFor() == 0);
    try {
      SafetensorsWriter.Tensor fits = SafetensorsWriter.Tensor.of("fits", TensorType.U8, new long[] {40_000},
          MemorySegment.ofArray(new byte[40_000]));
      SafetensorsWriter.Tensor tooMuch = SafetensorsWriter.Tensor.of("too much", TensorType.U8, new long[] {40_000},
          MemorySegment.ofArray(new byte[40_000]));
      for (long shardBytes : new long[] {40_000, 100_000}) {
        String message = assertThrows(OutputException.class,
            () -> SafetensorsWriter.writeModel(small, List.of(fits, tooMuch), shardBytes)).getMessage();
        assertTrue(message.startsWith(small.toString()) && message.endsWith("No space left on device"), message);
        try (Stream<Path> left = Files.list(small)) {
          assertEquals(List.of(), left.toList());
        }
      }
    } finally {
      assertEquals(0, new ProcessBuilder("umount", small.toString()).start().waitFor());
    }
  }

  @Test
  void interruptionIsSaidAndLeavesNothing() throws IOException {
    Path target = folder.resolve("out");
    try (OutputFile file = OutputFile.create(target)) {
      Thread.currentThread().interrupt();
      String message = assertThrows(OutputException.class, () -> file.write(text("x"))).getMessage();
      assertEquals(target + ": writing was interrupted", message);
      assertTrue(Thread.interrupted());
    }
    assertEquals(List.of(), names());
  }
}
