// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.measure;

import java.util.Arrays;
import java.util.List;

/**
 * Whether what is timed computes the right thing: first and last row against float64, and the same bits from two runs.
 *
 * @param relativeError ‖out − reference‖ / ‖reference‖ over the checked rows; NaN when an element was not written
 * @param bitEqual the two runs agree in every bit of every output
 */
public record KernelCheck(double relativeError, boolean bitEqual, boolean ok) {
  public static KernelCheck of(KernelBenchmark benchmark) {
    int rows = (int) benchmark.result().shape()[0];
    int[] checked = rows == 1 ? new int[] {0} : new int[] {0, rows - 1};
    benchmark.reset(0);
    double[][] expected = new double[checked.length][]; // before the launch, which may overwrite its inputs
    for (int i = 0; i < checked.length; i++) {
      expected[i] = benchmark.expected(checked[i]);
    }
    float[][] first = run(benchmark);
    float[][] second = run(benchmark);
    double relative = relativeError(expected, checked, benchmark.read(benchmark.result()), rows);
    boolean equal = true;
    for (int i = 0; i < first.length; i++) {
      equal &= Arrays.equals(first[i], second[i]);
    }
    return new KernelCheck(relative, equal, relative <= benchmark.tolerance() && equal);
  }

  private static double relativeError(double[][] expected, int[] checked, float[] result, int rows) {
    int width = result.length / rows;
    double error = 0;
    double norm = 0;
    for (int c = 0; c < checked.length; c++) {
      for (int i = 0; i < width; i++) {
        double actual = result[checked[c] * width + i];
        double should = Double.isNaN(expected[c][i]) ? actual : expected[c][i]; // NaN: not checked, but not left poisoned either
        error += Math.pow(actual - should, 2);
        norm += Math.pow(should, 2);
      }
    }
    return Math.sqrt(error) / Math.max(Math.sqrt(norm), 1e-30);
  }

  private static float[][] run(KernelBenchmark benchmark) {
    benchmark.reset(0);
    benchmark.launch(0);
    List<Operand> written = benchmark.operands().stream().filter(Operand::written).toList();
    return written.stream().map(benchmark::read).toArray(float[][]::new);
  }
}
