// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.GradientNorm;
import java.util.stream.IntStream;

/** gradient_norm over the gradients of one MLP matrix. */
public final class GradientNormBenchmark extends KernelBenchmark {
  private final Operand gradients;
  private final Operand scratch;
  private final Operand result;

  public GradientNormBenchmark(Workbench bench, int rows) {
    super(bench, "gradient_norm", rows + "x" + bench.config().text().hiddenSize());
    int width = bench.config().text().hiddenSize();
    gradients = input("gradients", DType.F32, 0, 1, rows, width);
    scratch = scratch("scratch", DType.F64, GradientNorm.scratch((long) rows * width));
    result = output("norm and factor", DType.F32, 1, 2);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().gradientNorm.launch(bench.stream(), gradients.at(copy), scratch.at(copy), result.at(copy), 1f);
  }

  @Override
  protected double[] expected(int row) {
    float[] g = read(gradients);
    double norm = Math.sqrt(IntStream.range(0, g.length).mapToDouble(i -> (double) g[i] * g[i]).sum());
    return new double[] {norm, Math.min(1, 1 / norm)};
  }
}
