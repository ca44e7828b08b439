// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples.bench.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.RowSquares;
import dev.diffusionvl.samples.bench.Operand;
import dev.diffusionvl.samples.bench.Workbench;

/** skinny_residual: output projection or down projection, added to the residual stream. */
public final class SkinnyResidualBenchmark extends SkinnyBenchmark {
  private final Operand x;
  private final Operand w;
  private final Operand h;
  private final Operand squares;
  private final Operand accumulators;

  public SkinnyResidualBenchmark(Workbench bench, String name, int m, int n, int k) {
    super(bench, "skinny_residual", name, m, n, k);
    x = input("x", m, k);
    w = weights();
    squares = output("squares of h", DType.F32, m, RowSquares.groups(n));
    accumulators = accumulators();
    h = updated("h", bench.dtype(), 0, 1, m, n);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().skinnyResidual().launch(bench.stream(), workspace, x.at(copy), w.at(copy), h.at(copy), squares.at(copy), m, n, k);
  }

  @Override
  public void launchBaseline(int copy) {
    bench.gemm().multiply(x.at(copy), w.at(copy), accumulators.at(copy), m, n, k);
    bench.kernels().residualAdd().launch(bench.stream(), h.at(copy), accumulators.at(copy), null, m, n);
  }

  @Override
  protected double[] expected(int row) {
    double[] out = product(row(x, row), w, 0, n);
    float[] before = read(h.at(0).slice((long) row * n, n));
    for (int i = 0; i < n; i++) {
      out[i] += before[i];
    }
    return out;
  }
}
