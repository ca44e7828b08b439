// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

/** Renaming a dependency in JCublas's own native library. */
class NativePatchTest {
  private static byte[] jcublas() throws IOException {
    try (InputStream in = NativePatchTest.class.getClassLoader().getResourceAsStream("lib/libJCublas2-12.6.0-linux-x86_64.so")) {
      return in.readAllBytes();
    }
  }

  /** As a string of its own; symbol names for debuggers (cublasCreate_v2@libcublas.so.12) mean nothing to the loader. */
  private static boolean contains(byte[] elf, String name) {
    return new String(elf, StandardCharsets.ISO_8859_1).contains("\0" + name + "\0");
  }

  @Test
  void thereAndBackGivesTheSameFile() throws IOException {
    byte[] original = jcublas();
    byte[] patched = original.clone();
    int changes = NativePatch.renameDependency(patched, "libcublas.so.12", "libcublas.so.13");
    assertTrue(changes >= 2, "the name, and the version's hash: " + changes);
    assertTrue(contains(patched, "libcublas.so.13"));
    assertFalse(contains(patched, "libcublas.so.12"));
    int changedBytes = 0;
    for (int i = 0; i < original.length; i++) {
      changedBytes += original[i] == patched[i] ? 0 : 1;
    }
    assertTrue(changedBytes <= 16, changedBytes + " bytes differ");
    assertEquals(changes, NativePatch.renameDependency(patched, "libcublas.so.13", "libcublas.so.12"));
    assertArrayEquals(original, patched);
  }

  @Test
  void undefinedFunctionsBecomeWeak() throws IOException {
    byte[] elf = jcublas();
    int changes = NativePatch.weakenUndefined(elf, "cublas");
    assertTrue(changes > 400, "JCublas calls some hundred functions: " + changes);
    int changedBytes = 0;
    byte[] original = jcublas();
    for (int i = 0; i < original.length; i++) {
      changedBytes += original[i] == elf[i] ? 0 : 1;
    }
    assertEquals(changes, changedBytes, "one byte each");
    assertEquals(0, NativePatch.weakenUndefined(elf, "cublas"), "they are weak already");
  }

  @Test
  void whatIsNotADependencyStays() throws IOException {
    byte[] elf = jcublas();
    assertEquals(0, NativePatch.renameDependency(elf, "libcudnn.so.9", "libcudnn.so.8"));
    assertArrayEquals(jcublas(), elf);
  }

  @Test
  void refusesOtherFilesAndLengths() {
    assertThrows(IllegalArgumentException.class, () -> NativePatch.renameDependency(new byte[100], "a.so.1", "a.so.2"));
    assertThrows(IllegalArgumentException.class, () -> NativePatch.renameDependency(jcublas(), "libcublas.so.12", "libcublas.so"));
  }
}
