// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;

/** fill_normal of a large matrix. */
public final class FillNormalBenchmark extends KernelBenchmark {
  private static final int WIDTH = 4096;

  private final Operand out;

  public FillNormalBenchmark(Workbench bench) {
    super(bench, "fill_normal", bench.pick(16384, 2) + "x" + WIDTH);
    out = output("out", bench.dtype(), bench.pick(16384, 2), WIDTH);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().fillNormal.launch(bench.stream(), out.at(copy), 0, 1, copy);
  }

  @Override
  protected double[] expected(int row) {
    double[] values = new double[WIDTH];
    for (int i = 0; i < WIDTH; i += 2) {
      long bits = mix(0x9E3779B97F4A7C15L * (((long) row * WIDTH + i) / 2 + 1));
      double radius = Math.sqrt(-2 * Math.log(((bits >>> 40) + 1) * 0x1p-24));
      double angle = 2 * Math.PI * ((bits & 0xffffffffL) >>> 8) * 0x1p-24;
      values[i] = radius * Math.cos(angle);
      values[i + 1] = radius * Math.sin(angle);
    }
    return values;
  }

  private static long mix(long z) {
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }
}
