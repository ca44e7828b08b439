// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.op.WeightForm;

/** skinny_gemm beside cuBLAS, rounded once by both. */
public final class SkinnyGemmBenchmark extends ProductBenchmark {
  private final Operand x;
  private final Operand w;
  private final Operand byCublas;
  private final Operand y;

  /** @param name what the product is for */
  public SkinnyGemmBenchmark(Workbench bench, String name, WeightForm form, int m, int n, int k) {
    super(bench, "skinny_gemm", name, form, m, n, k);
    x = input("x", m, k);
    w = weights(false);
    byCublas = scratch("y of cuBLAS", bench.dtype(), m, n);
    y = output("y", bench.dtype(), m, n);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().skinnyGemm.launch(bench.stream(), workspace, x.at(copy), matrix(copy), y.at(copy), m);
  }

  @Override
  public void launchBaseline(int copy) {
    bench.gemm().multiply(x.at(copy), w.at(copy), byCublas.at(copy), m, n, k);
  }

  @Override
  protected double[] expected(int row) {
    return product(row(x, row), w);
  }
}
