// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import java.util.stream.IntStream;

/** position_embedding of the SigLIP tower's tiles. */
public final class PositionEmbeddingBenchmark extends KernelBenchmark {
  private static final int WIDTH = 1152;

  private final int rows;
  private final int positions;
  private final Operand patches;
  private final Operand bias;
  private final Operand position;
  private final Operand out;

  /** @param tiles images of {@code positions} patches */
  public PositionEmbeddingBenchmark(Workbench bench, int tiles, int positions) {
    super(bench, "position_embedding", tiles * positions + "x" + WIDTH);
    this.rows = tiles * positions;
    this.positions = positions;
    patches = input("patches", DType.F32, 0, 1, rows, WIDTH);
    bias = input("bias", WIDTH);
    position = input("position", positions, WIDTH);
    out = output("out", bench.dtype(), rows, WIDTH);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().positionEmbedding.launch(bench.stream(), patches.at(copy), bias.at(copy), position.at(copy), out.at(copy), rows, WIDTH,
        positions);
  }

  @Override
  protected double[] expected(int row) {
    float[] in = read(patches);
    float[] b = read(bias);
    float[] p = read(position);
    return IntStream.range(0, WIDTH).mapToDouble(i -> (double) in[row * WIDTH + i] + b[i] + p[row % positions * WIDTH + i]).toArray();
  }
}
