// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

/** The seeded normal stream of fill_normal in float64, from docs/kernel-contract.md. */
public final class NormalOracle {
  private NormalOracle() {}

  /** mean + scale · zᵢ for i &lt; n, unrounded. */
  public static double[] fill(int n, double mean, double scale, long seed) {
    double[] values = new double[n];
    for (int i = 0; i < n; i++) {
      long bits = splitmix(seed + 0x9E3779B97F4A7C15L * (i / 2 + 1L));
      double u = ((bits >>> 40) + 1) * 0x1p-24;
      double angle = 2 * Math.PI * ((bits & 0xffffffffL) >>> 8) * 0x1p-24;
      double radius = Math.sqrt(-2 * Math.log(u));
      values[i] = mean + scale * radius * (i % 2 == 0 ? Math.cos(angle) : Math.sin(angle));
    }
    return values;
  }

  private static long splitmix(long z) {
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }
}
