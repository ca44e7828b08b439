// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

/** Refuses values out of range. */
final class Ranges {
  private Ranges() {}

  /** @throws IllegalArgumentException naming field, value and what is allowed, unless {@code ok} */
  static void require(boolean ok, String name, Object value, String allowed) {
    if (!ok) {
      throw new IllegalArgumentException(name + " is " + value + ", allowed is " + allowed);
    }
  }
}
