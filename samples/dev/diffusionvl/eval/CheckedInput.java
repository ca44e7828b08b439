// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import dev.hardwood.InputFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A file whose reader follows lengths that a damaged file may have wrong: what lies outside of the file is an error, and so is reading that
 * does not end. Without this the reader waits for pages that will never be there.
 */
final class CheckedInput implements InputFile {
  private static final long TIMES = 16; // the whole file, and more than any reader needs
  private static final long SMALL = 1 << 30;

  private final InputFile file;
  private final AtomicLong read = new AtomicLong();
  private volatile boolean closed;

  CheckedInput(Path path) {
    file = InputFile.of(path);
  }

  @Override
  public void open() throws IOException {
    file.open();
  }

  @Override
  public ByteBuffer readRange(long offset, int length) throws IOException {
    if (closed || offset < 0 || length <= 0 || length > file.length() - offset) {
      throw new IOException(closed ? "closed" : "a part of " + length + " bytes lies outside of the file");
    }
    if (read.addAndGet(length) > SMALL + TIMES * file.length()) {
      throw new IOException("the same parts are read again and again");
    }
    return file.readRange(offset, length);
  }

  @Override
  public long length() throws IOException {
    return file.length();
  }

  @Override
  public String name() {
    return file.name();
  }

  /** Ends all reading. */
  @Override
  public void close() throws IOException {
    closed = true;
    file.close();
  }
}
