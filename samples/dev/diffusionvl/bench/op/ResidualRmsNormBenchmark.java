// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;

/** residual_rms_norm over the rows of a pass. */
public final class ResidualRmsNormBenchmark extends KernelBenchmark {
  private static final float EPS = 1e-6f;

  private final int rows;
  private final int width = bench.config().text().hiddenSize();
  private final Operand h;
  private final Operand acc;
  private final Operand weight;
  private final Operand y;

  public ResidualRmsNormBenchmark(Workbench bench, int rows) {
    super(bench, "residual_rms_norm", rows + "x" + bench.config().text().hiddenSize());
    this.rows = rows;
    h = updated("h", bench.dtype(), 0, 1, rows, width);
    acc = input("acc", DType.F32, 0, 1, rows, width);
    weight = input("weight", bench.dtype(), 1, 0.1, width);
    y = output("y", bench.dtype(), rows, width);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().residualRmsNorm.launch(bench.stream(), h.at(copy), acc.at(copy), null, weight.at(copy), y.at(copy), rows, width, EPS);
  }

  @Override
  protected double[] expected(int row) {
    float[] before = read(h);
    float[] added = read(acc);
    float[] weights = read(weight);
    double[] result = new double[width];
    double squares = 0;
    for (int i = 0; i < width; i++) {
      result[i] = (double) before[row * width + i] + added[row * width + i];
      squares += result[i] * result[i];
    }
    for (int i = 0; i < width; i++) {
      result[i] *= weights[i] / Math.sqrt(squares / width + EPS);
    }
    return result;
  }
}
