// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.file.Path;

/**
 * A file could not be written although its place is a good one: the disk is full, the device failed, the thread was interrupted. The
 * message is one line, {@code FILE: REASON}. A place where no file can be made at all is a {@link BadInputException}.
 */
public final class OutputException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public OutputException(Path file, String reason, Throwable cause) {
    super(file + ": " + reason, cause);
  }
}
