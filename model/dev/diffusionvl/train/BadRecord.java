// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.BadInputException;
import java.nio.file.Path;

/**
 * A record that nothing can be learnt from.
 *
 * @param file that it is in
 * @param number of the record in the file, from 1
 * @param id its id as far as it could be read, else "record NUMBER"
 * @param reason field and problem
 */
public record BadRecord(Path file, int number, String id, String reason) {
  /** What happens to bad records; called in the order of the records, by the thread that takes rows. */
  @FunctionalInterface
  public interface Listener {
    /** Stops at the first bad record with a {@link BadInputException}. */
    Listener STRICT = bad -> {
      throw new BadInputException(bad.line());
    };

    /** A record has been skipped. An exception thrown here reaches whoever takes rows. */
    void skipped(BadRecord record);
  }

  /** {@code FILE: record NUMBER (id ID): REASON} in one printable line. */
  public String line() {
    String own = "record " + number;
    return BadInputException.of(file, id.equals(own) ? own : own + " (id " + id + ")", reason).getMessage();
  }
}
