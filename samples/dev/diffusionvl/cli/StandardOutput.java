// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.loader.InputFiles;
import dev.diffusionvl.loader.OutputException;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * Standard output in UTF-8, whatever the locale. A PrintStream keeps quiet about what could not be written; here that ends the command: the
 * disk is full, or whoever read the answer has gone.
 */
final class StandardOutput extends OutputStream {
  private static final Path NAME = Path.of("standard output");

  private final OutputStream out;

  private StandardOutput(OutputStream out) {
    this.out = out;
  }

  /** Makes it this process's {@code System.out}. */
  static void install() {
    OutputStream out = new StandardOutput(new FileOutputStream(FileDescriptor.out));
    System.setOut(new PrintStream(out, false, StandardCharsets.UTF_8));
  }

  @Override
  public void write(int value) {
    write(new byte[] {(byte) value}, 0, 1);
  }

  /** @throws OutputException if it cannot be written */
  @Override
  public void write(byte[] bytes, int offset, int length) {
    try {
      out.write(bytes, offset, length);
    } catch (IOException e) {
      boolean closed = "Broken pipe".equals(e.getMessage());
      throw new OutputException(NAME, closed ? "closed by its reader" : "cannot be written: " + InputFiles.reason(e), e);
    }
  }
}
