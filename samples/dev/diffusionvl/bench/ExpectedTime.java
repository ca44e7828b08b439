// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * What each row was expected to take before anything was measured: time = max(bytes / (efficiency · read ceiling), operations / (efficiency
 * · matrix ceiling)) + fixed. The ceilings are those of the same run, so a prediction holds for any GPU. Change an entry only with the
 * reason beside it; results stay comparable because each row carries its formula.
 *
 * @param efficiency part of the ceiling that the kernel is expected to reach
 * @param fixedMicros what a launch costs whatever its size
 * @param source why
 */
record ExpectedTime(double efficiency, double fixedMicros, String source) {
  private static final String NODE = "graph node 1.3 us, ramp and tail 1.2 us";
  private static final ExpectedTime STREAMING = new ExpectedTime(0.93, 2.5, NODE);
  /** A few hundred small blocks, each a chain of dependent loads: latency decides. */
  private static final ExpectedTime LATENCY = new ExpectedTime(0.7, 5, "latency of dependent loads 4 to 6 us");

  /** Weights through a deep ring, all blocks equally busy. */
  private static final ExpectedTime SKINNY = new ExpectedTime(0.93, 2.5, "stream-K through a ring of stages; " + NODE);

  private static final Map<String, ExpectedTime> TABLE = Map.ofEntries(
      Map.entry("rms_norm", STREAMING),
      Map.entry("swiglu", STREAMING),
      Map.entry("residual_add", STREAMING),
      Map.entry("residual_rms_norm", STREAMING),
      Map.entry("bias_activation", STREAMING),
      Map.entry("gather_rows", STREAMING),
      Map.entry("rope_kv_append", STREAMING),
      Map.entry("vision_rotary", STREAMING),
      Map.entry("attention", LATENCY),
      Map.entry("confidence", new ExpectedTime(0.7, 4, "one block per row: " + NODE + ", tail of 8 blocks")),
      Map.entry("sample", new ExpectedTime(0.15, 30, "two launches of 16 blocks per row 12 us; then a row's last block: sums by bin 2, a "
          + "bin listed 4, ten rounds over the list 8, the slice of the draw 4; logits read three times from the cache")),
      Map.entry("remask", LATENCY),
      Map.entry("fill_normal", new ExpectedTime(0.5, 2.5, "arithmetic of 4 transcendentals per element")),
      Map.entry("read_sum", STREAMING),
      Map.entry("row_squares", STREAMING),
      Map.entry("skinny_gemm", SKINNY),
      Map.entry("skinny_qkv", SKINNY),
      Map.entry("skinny_residual", SKINNY),
      Map.entry("skinny_swiglu", SKINNY),
      Map.entry("skinny_confidence", SKINNY),
      Map.entry("expand_weights", STREAMING),
      Map.entry("pack_weights", STREAMING),
      Map.entry("layer_norm", STREAMING),
      Map.entry("extract_patches", STREAMING),
      Map.entry("position_embedding", STREAMING),
      Map.entry("column_sum", STREAMING),
      Map.entry("rms_norm_backward", STREAMING),
      Map.entry("layer_norm_backward", STREAMING),
      Map.entry("swiglu_backward", STREAMING),
      Map.entry("activation_backward", STREAMING),
      Map.entry("rope_backward", STREAMING),
      Map.entry("attention_backward", new ExpectedTime(0.3, 8, "scores made twice, so 5 of 7 products count; half of the ceiling from "
          + "mma.sync with two blocks of four warps per SM; two launches")),
      Map.entry("scatter_add_rows", STREAMING),
      Map.entry("adamw", STREAMING),
      Map.entry("adamw_8bit", new ExpectedTime(0.8, 2.5, "eight transcendentals per element stay behind the bytes; " + NODE)),
      Map.entry("gradient_norm", STREAMING),
      Map.entry("cross_entropy", new ExpectedTime(0.6, 4, "one block per row, three sweeps of which two hit the cache")),
      Map.entry("blend_rows", STREAMING));

  /** Names of all ops. */
  static Set<String> ops() {
    return new TreeSet<>(TABLE.keySet());
  }

  /** The prediction for an op. @throws IllegalArgumentException for an op without one: write it before measuring */
  static ExpectedTime of(String op) {
    ExpectedTime prediction = TABLE.get(op);
    if (prediction == null) {
      throw new IllegalArgumentException("no prediction for " + op + " in ExpectedTime: write it before measuring");
    }
    return prediction;
  }

  double micros(long bytes, long flops, Ceilings ceilings) {
    return Math.max(bytes / (efficiency * ceilings.readBytesPerSecond()), flops / (efficiency * ceilings.flopsPerSecond())) * 1e6
        + fixedMicros;
  }

  String formula() {
    return "max(bytes/(%.3g read), flop/(%.3g gemm)) + %.3g us; %s".formatted(efficiency, efficiency, fixedMicros, source);
  }
}
