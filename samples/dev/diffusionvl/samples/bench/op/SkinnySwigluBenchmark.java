// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples.bench.op;

import dev.diffusionvl.samples.bench.Operand;
import dev.diffusionvl.samples.bench.Workbench;

/** skinny_swiglu: norm, gate and up, SwiGLU. */
public final class SkinnySwigluBenchmark extends SkinnyBenchmark {
  private final int inter;
  private final Operand h;
  private final Operand squares;
  private final Operand norm;
  private final Operand w;
  private final Operand accumulators;
  private final Operand normed;
  private final Operand out;

  public SkinnySwigluBenchmark(Workbench bench, int m, int inter, int k) {
    super(bench, "skinny_swiglu", "gate_up", m, 2 * inter, k);
    this.inter = inter;
    h = input("h", m, k);
    norm = input("norm", bench.dtype(), 1, 0.1, k);
    w = weights();
    squares = squares();
    accumulators = accumulators();
    normed = output("normed of the baseline", bench.dtype(), m, k);
    out = output("out", bench.dtype(), m, inter);
  }

  @Override
  public void launch(int copy) {
    fillSquares(h, squares, copy); // which in a model the kernel before has left
    bench.kernels().skinnySwiglu().launch(bench.stream(), workspace, h.at(copy), squares.at(copy), norm.at(copy), EPS, w.at(copy),
        out.at(copy), m, inter, k);
  }

  @Override
  public void launchBaseline(int copy) {
    bench.kernels().rmsNorm().launch(bench.stream(), h.at(copy), norm.at(copy), normed.at(copy), m, k, EPS);
    bench.gemm().multiply(normed.at(copy), w.at(copy), accumulators.at(copy), m, n, k);
    bench.kernels().swiglu().launch(bench.stream(), accumulators.at(copy), null, out.at(copy), m, inter);
  }

  @Override
  protected double[] expected(int row) {
    double[] x = normed(h, norm, row);
    double[] gate = product(x, w, 0, inter);
    double[] up = product(x, w, inter, inter);
    for (int i = 0; i < inter; i++) {
      gate[i] = gate[i] / (1 + Math.exp(-gate[i])) * up[i];
    }
    return gate;
  }
}
