// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.predict;

import java.util.Arrays;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;

/** A way to make a forward pass faster whose effect the time model can tell, by leaving it out or taking it in. */
public enum Change {
  /** Kernels of a layer begin while the kernel before them ends (programmatic dependent launch, from 9.0 on). Built. */
  OVERLAP(true),
  /**
   * With overlap, the memory works while blocks meet and epilogues run: a kernel is let in when the one before has asked for its last
   * weights, not earlier, and asks for more of its own than its ring holds; attention's first keys are brought into the L2 cache, and what
   * a product reads behind its wait comes in one trip. Built.
   */
  AHEAD(true),
  /**
   * Short ends: one thread fences for its block, partial sums are asked for four at a time and attention's ranges eight at a time; what an
   * epilogue looks up comes before the blocks meet. Built.
   */
  TAILS(true),
  /**
   * Attention's long lists in up to 32 ranges of four tiles; where they are long, or there are more blocks than run at once, two tiles of
   * rows share a block and what it reads of the L2 cache. Built.
   */
  RANGES(true),
  /**
   * The spans of a product in even shares for the blocks that a GPU runs at once, instead of one per block and a last wave of few; a span
   * between two blocks is handed on with its sums, so no bit changes (cuda/include/skinny_split.cuh). Built; a GPU of 9.0 or 10.x runs all
   * spans at once.
   */
  SHARES(true),
  /**
   * Weights of passes of up to 8 rows come by bulk copies (cuda/include/skinny_ring.cuh): every stage of the ring is under way, and no
   * barrier of the block stands between a chunk and the next. Built, for the GPUs that {@link Gpu#bulk} says.
   */
  RING(true),
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
