// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;

/** read_sum over as much as a large matrix. */
public final class ReadSumBenchmark extends KernelBenchmark {
  private static final int THREADS = 256;
  private static final int EACH = 8;

  private final int blocks = bench.pick(2048, 4);
  private final int n = bench.pick(64 << 20, 8192);
  private final Operand x = input("x", n);
  private final Operand partial = output("partial", DType.F32, blocks);

  public ReadSumBenchmark(Workbench bench) {
    super(bench, "read_sum", "" + bench.pick(64 << 20, 8192));
  }

  @Override
  public void launch(int copy) {
    bench.kernels().readSum.launch(bench.stream(), x.at(copy), partial.at(copy));
  }

  @Override
  protected double[] expected(int block) {
    float[] values = read(x);
    double sum = 0;
    for (int begin = block * THREADS * EACH; begin < n; begin += blocks * THREADS * EACH) {
      for (int i = begin; i < Math.min(n, begin + THREADS * EACH); i++) {
        sum += values[i];
      }
    }
    return new double[] {sum};
  }

  /** f32 additions in another order than the reference's. */
  @Override
  protected double tolerance() {
    return 1e-3;
  }
}
