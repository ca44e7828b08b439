// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.loader.BadInputException;
import java.nio.file.Path;

/** Files that come with the project, which the dvl script knows the place of. */
public final class Bundled {
  private Bundled() {}

  /** The demo model's folder, where {@code option} names no other. */
  public static Path demoModel(String option) {
    return file(option, "samples", "models", "diffusionvl-tiny");
  }

  /**
   * A file or folder.
   *
   * @param option that names another one
   * @throws BadInputException if this was not started by the script
   */
  public static Path file(String option, String... path) {
    String home = System.getProperty("dvl.home");
    if (home == null) {
      throw new BadInputException(option + " is missing, and what comes with the project is only found by the dvl script");
    }
    return Path.of(home, path);
  }
}
