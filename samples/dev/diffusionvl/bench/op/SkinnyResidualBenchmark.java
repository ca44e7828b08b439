// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.Residual;
import dev.diffusionvl.runtime.op.RowSquares;
import dev.diffusionvl.runtime.op.SkinnySplit;
import dev.diffusionvl.runtime.op.WeightForm;

/** skinny_residual: a layer's output or down projection. Beside it cuBLAS and residual_add. */
public final class SkinnyResidualBenchmark extends ProductBenchmark {
  private final Operand x;
  private final Operand w;
  private final Operand acc;
  private final Operand squares;
  private final Operand plainH;
  private final Operand h;

  private final SkinnySplit split;

  /** @param name which of the two projections */
  public SkinnyResidualBenchmark(Workbench bench, String name, WeightForm form, int m, int n, int k) {
    this(bench, name, form, m, n, k, SkinnySplit.of(n, k, false));
  }

  /** The same over a grid of {@code grid} blocks at most, whatever would be chosen. */
  public static SkinnyResidualBenchmark over(int grid, Workbench bench, String name, int m, int n, int k) {
    return new SkinnyResidualBenchmark(bench, name + " grid " + grid, WeightForm.DENSE, m, n, k, SkinnySplit.over(grid, n, k, false));
  }

  private SkinnyResidualBenchmark(Workbench bench, String name, WeightForm form, int m, int n, int k, SkinnySplit split) {
    super(bench, "skinny_residual", name, form, m, n, k);
    this.split = split;
    x = input("x", m, k);
    w = weights(false);
    acc = scratch("accumulators", DType.F32, m, n);
    squares = output("squares", DType.F32, m, RowSquares.groups(n));
    plainH = scratch("h of cuBLAS", bench.dtype(), m, n);
    h = updated("h", bench.dtype(), 0, 1, m, n);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().skinnyResidual.launch(bench.stream(), workspace, x.at(copy), matrix(copy),
        new Residual(h.at(copy), squares.at(copy)), m, split);
  }

  @Override
  public void launchBaseline(int copy) {
    bench.gemm().multiply(x.at(copy), w.at(copy), acc.at(copy), m, n, k);
    bench.kernels().residualAdd.launch(bench.stream(), plainH.at(copy), acc.at(copy), null, m, n);
  }

  @Override
  protected double[] expected(int row) {
    float[] before = read(h.at(0).slice((long) row * n, n));
    double[] sum = product(row(x, row), w);
    for (int i = 0; i < n; i++) {
      sum[i] += before[i]; // not checked stays not checked
    }
    return sum;
  }
}
