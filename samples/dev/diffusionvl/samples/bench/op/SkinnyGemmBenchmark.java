// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples.bench.op;

import dev.diffusionvl.samples.bench.Operand;
import dev.diffusionvl.samples.bench.Workbench;

/** skinny_gemm: logits of sampled steps. */
public final class SkinnyGemmBenchmark extends SkinnyBenchmark {
  private final Operand x;
  private final Operand w;
  private final Operand y;

  public SkinnyGemmBenchmark(Workbench bench, String name, int m, int n, int k) {
    super(bench, "skinny_gemm", name, m, n, k);
    x = input("x", m, k);
    w = weights();
    y = output("y", bench.dtype(), m, n);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().skinnyGemm().launch(bench.stream(), workspace, x.at(copy), w.at(copy), y.at(copy), m, n, k);
  }

  @Override
  public void launchBaseline(int copy) {
    bench.gemm().multiply(x.at(copy), w.at(copy), y.at(copy), m, n, k);
  }

  @Override
  protected double[] expected(int row) {
    return product(row(x, row), w, 0, n);
  }
}
