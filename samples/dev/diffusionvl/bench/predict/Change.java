// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.predict;

import java.util.Arrays;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;

/** A way to make a forward pass faster whose effect the time model can tell, by leaving it out or taking it in. */
public enum Change {
  /** Products begin while the kernel before them ends (programmatic dependent launch). Built; a session has to ask for it. */
  OVERLAP(false),
  /** At a product's end one thread fences for its block, and partial sums are asked for four at a time. Built. */
  TAILS(true),
  /** One kernel for the whole pass (docs/persistent-forward.md). Not built. */
  PERSISTENT(false);

  private final boolean usual;

  Change(boolean usual) {
    this.usual = usual;
  }

  /** Those that a session has without asking. */
  static Set<Change> usual() {
    return Arrays.stream(values()).filter(c -> c.usual).collect(Collectors.toCollection(() -> EnumSet.noneOf(Change.class)));
  }

  /** As the command line spells it. */
  public String spelling() {
    return name().toLowerCase(Locale.ROOT);
  }
}
