// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.file.Path;

/** Something the caller brought (a checkpoint, an image, a prompt) cannot be used. The message is one line: file, field, problem. */
public final class BadInputException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** @param message one line naming what is wrong; line breaks in it (parser messages, file names) become spaces */
  public BadInputException(String message) {
    super(message.replaceAll("[\\p{Cntrl}\\u2028\\u2029]+", " "));
  }

  /** "FILE: FIELD: PROBLEM" */
  public static BadInputException of(Path file, String field, String problem) {
    return new BadInputException(file + ": " + field + ": " + problem);
  }
}
