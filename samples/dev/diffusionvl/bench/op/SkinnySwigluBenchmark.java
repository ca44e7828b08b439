// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.NormedLinear;
import dev.diffusionvl.runtime.op.Residual;
import dev.diffusionvl.runtime.op.WeightForm;
import java.util.Arrays;

/** skinny_swiglu: norm, gate and up, SwiGLU. Beside it rms_norm, cuBLAS and swiglu. */
public final class SkinnySwigluBenchmark extends ProductBenchmark {
  private final int inter;
  private final Operand h;
  private final Operand squares;
  private final Operand norm;
  private final Operand w;
  private final Operand normed;
  private final Operand acc;
  private final Operand out;

  public SkinnySwigluBenchmark(Workbench bench, WeightForm form, int m, int inter, int k) {
    super(bench, "skinny_swiglu", "gate_up", form, m, 2 * inter, k);
    this.inter = inter;
    h = input("h", m, k);
    squares = squares();
    norm = input("norm", bench.dtype(), 1, 0.1, k);
    w = weights(true);
    normed = scratch("normed", bench.dtype(), m, k);
    acc = scratch("accumulators", DType.F32, m, n);
    out = output("out", bench.dtype(), m, inter);
  }

  @Override
  protected void initialise(int copy) {
    super.initialise(copy);
    fillSquares(h, squares, copy);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().skinnySwiglu.launch(bench.stream(), workspace, new Residual(h.at(copy), squares.at(copy)),
        new NormedLinear(norm.at(copy), EPS, matrix(copy), null), out.at(copy), m);
  }

  @Override
  public void launchBaseline(int copy) {
    bench.kernels().rmsNorm.launch(bench.stream(), h.at(copy), norm.at(copy), normed.at(copy), m, k, EPS);
    bench.gemm().multiply(normed.at(copy), w.at(copy), acc.at(copy), m, n, k);
    bench.kernels().swiglu.launch(bench.stream(), acc.at(copy), null, out.at(copy), m, inter);
  }

  @Override
  protected double[] expected(int row) {
    double[] x = normed(h, norm, row);
    double[] result = new double[inter];
    Arrays.fill(result, NOT_CHECKED);
    int part = Math.min(128, inter);
    for (int from : new int[] {0, inter - part}) {
      double[] gate = product(x, w, from, part);
      double[] up = product(x, w, inter + from, part);
      for (int i = 0; i < part; i++) {
        result[from + i] = gate[i] / (1 + Math.exp(-gate[i])) * up[i];
      }
    }
    return result;
  }
}
