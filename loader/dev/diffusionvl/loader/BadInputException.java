// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.file.Path;

/**
 * Something the user gave (a file, a field in it, an option's value) is unusable. The message is one printable line
 * that names the file, the field and what is wrong; it is fit to be shown as it is.
 */
public final class BadInputException extends RuntimeException {
  private static final long serialVersionUID = 1L;
  private static final int MAX_LENGTH = 1000;

  /**
   * @param message file, field and problem in one line; control characters (names inside a broken file may hold any)
   *     are replaced
   */
  public BadInputException(String message) {
    super(oneLine(message));
  }

  /** As {@link #BadInputException(String)}, keeping what was caught underneath for a debugger. */
  public BadInputException(String message, Throwable cause) {
    super(oneLine(message), cause);
  }

  /** {@code FILE: FIELD: PROBLEM}. */
  public static BadInputException of(Path file, String field, String problem) {
    return new BadInputException(file + ": " + field + ": " + problem);
  }

  /** {@code FILE: PROBLEM}, when the file as a whole is wrong. */
  public static BadInputException of(Path file, String problem) {
    return new BadInputException(file + ": " + problem);
  }

  private static String oneLine(String message) {
    StringBuilder line = new StringBuilder();
    message.codePoints().limit(MAX_LENGTH).forEach(c -> {
      boolean printable = switch (Character.getType(c)) {
        case Character.CONTROL, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR, Character.FORMAT,
            Character.SURROGATE, Character.UNASSIGNED -> false;
        default -> true;
      };
      line.appendCodePoint(printable ? c : '\ufffd');
    });
    return line.toString();
  }
}
