// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples.bench.op;

import dev.diffusionvl.samples.bench.KernelBenchmark;
import dev.diffusionvl.samples.bench.Operand;
import dev.diffusionvl.samples.bench.Workbench;
import java.util.Arrays;

/** A product of the decoder by cuBLAS: y = x wT with as many rows as a pass has. */
public final class CublasBenchmark extends KernelBenchmark {
  /** Columns at either end that are checked; all of them would be dear on the host. */
  private static final int CHECKED = 64;

  private final int m;
  private final int n;
  private final int k;
  private final Operand x;
  private final Operand w;
  private final Operand y;

  /** @param name what the product is for */
  public CublasBenchmark(Workbench bench, String name, int m, int n, int k) {
    super(bench, "cublas", "%s %dx%dx%d".formatted(name, m, n, k));
    this.m = m;
    this.n = n;
    this.k = k;
    x = input("x", m, k);
    w = input("w", bench.dtype(), 0, 0.02, n, k);
    y = output("y", bench.dtype(), m, n);
  }

  @Override
  public void launch(int copy) {
    bench.gemm().multiply(x.at(copy), w.at(copy), y.at(copy), m, n, k);
  }

  @Override
  public long flops() {
    return 2L * m * n * k;
  }

  @Override
  protected double[] expected(int row) {
    float[] a = read(x.at(0).slice((long) row * k, k));
    double[] out = new double[n];
    Arrays.fill(out, NOT_CHECKED);
    int checked = Math.min(CHECKED, n);
    for (int begin : new int[] {0, n - checked}) {
      float[] b = read(w.at(0).slice((long) begin * k, (long) checked * k));
      for (int j = 0; j < checked; j++) {
        double sum = 0;
        for (int i = 0; i < k; i++) {
          sum += (double) a[i] * b[j * k + i];
        }
        out[begin + j] = sum;
      }
    }
    return out;
  }
}
