// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples.bench.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.RowSquares;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;
import dev.diffusionvl.samples.bench.KernelBenchmark;
import dev.diffusionvl.samples.bench.Operand;
import dev.diffusionvl.samples.bench.Workbench;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * A skinny product of a decoder layer with what is fused to it. The baseline is what it replaces: cuBLAS and the elementwise kernels
 * around it.
 */
abstract class SkinnyBenchmark extends KernelBenchmark {
  static final float EPS = 1e-6f;
  /** Columns at either end that are checked; all of them would be dear on the host. */
  private static final int CHECKED = 64;

  final int m;
  final int n;
  final int k;
  final SkinnyWorkspace workspace;

  SkinnyBenchmark(Workbench bench, String op, String name, int m, int n, int k) {
    super(bench, op, "%s %dx%dx%d".formatted(name, m, n, k));
    this.m = m;
    this.n = n;
    this.k = k;
    workspace = new SkinnyWorkspace(bench.stream(), m);
  }

  @Override
  public String baselineName() {
    return "cublas";
  }

  @Override
  public long flops() {
    return 2L * m * n * k;
  }

  /** The weights and nothing else: activations and partial sums stay in the cache. */
  @Override
  public long bytes() {
    return (long) n * k * bench.dtype().bytes();
  }

  /** Weights of the product. */
  final Operand weights() {
    return input("w", bench.dtype(), 0, 0.02, n, k);
  }

  final Operand accumulators() {
    return output("accumulators of the baseline", DType.F32, m, n);
  }

  /** Sums of squares of h; must hold what {@link #fillSquares} writes. */
  final Operand squares() {
    return output("squares", DType.F32, m, RowSquares.groups(k));
  }

  final void fillSquares(Operand h, Operand squares, int copy) {
    bench.kernels().rowSquares().launch(bench.stream(), h.at(copy), squares.at(copy), m, k);
  }

  /** A row of x behind its norm. */
  final double[] normed(Operand h, Operand norm, int row) {
    float[] in = read(h.at(0).slice((long) row * k, k));
    float[] weight = read(norm.at(0));
    double square = IntStream.range(0, k).mapToDouble(i -> (double) in[i] * in[i]).sum();
    double inverse = 1 / Math.sqrt(square / k + EPS);
    return IntStream.range(0, k).mapToDouble(i -> in[i] * inverse * weight[i]).toArray();
  }

  final double[] row(Operand x, int row) {
    float[] in = read(x.at(0).slice((long) row * k, k));
    return IntStream.range(0, k).mapToDouble(i -> in[i]).toArray();
  }

  /** x · w[first + i] for the columns i that are checked of {@code columns}, {@link #NOT_CHECKED} for the others. */
  final double[] product(double[] x, Operand w, int first, int columns) {
    double[] out = new double[columns];
    Arrays.fill(out, NOT_CHECKED);
    int checked = Math.min(CHECKED, columns);
    for (int begin : new int[] {0, columns - checked}) {
      float[] rows = read(w.at(0).slice((long) (first + begin) * k, (long) checked * k));
      for (int j = 0; j < checked; j++) {
        double sum = 0;
        for (int i = 0; i < k; i++) {
          sum += x[i] * rows[j * k + i];
        }
        out[begin + j] = sum;
      }
    }
    return out;
  }

  @Override
  public void close() {
    workspace.close();
    super.close();
  }
}
