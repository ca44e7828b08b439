// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import java.util.stream.IntStream;

/** cross_entropy over a chunk of target rows. */
public final class CrossEntropyBenchmark extends KernelBenchmark {
  private final int rows;
  private final int vocab = bench.config().text().vocabSize();
  private final Operand label;
  private final Operand weight;
  private final Operand loss;
  private final Operand logits;

  public CrossEntropyBenchmark(Workbench bench, int rows) {
    super(bench, "cross_entropy", rows + "x" + bench.config().text().vocabSize());
    this.rows = rows;
    label = ints("label", IntStream.range(0, rows).map(r -> r * 31 % vocab).toArray());
    weight = input("weight", DType.F32, 1, 0.1, rows);
    loss = output("loss", DType.F32, rows);
    logits = updated("logits", bench.dtype(), 0, 3, rows, vocab);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().crossEntropy.launch(bench.stream(), logits.at(copy), label.at(copy), weight.at(copy), loss.at(copy), rows, vocab);
  }

  @Override
  protected double[] expected(int row) {
    float[] in = read(logits);
    float[] factors = read(weight);
    int at = row * vocab;
    double sum = IntStream.range(0, vocab).mapToDouble(i -> Math.exp(in[at + i])).sum();
    return IntStream.range(0, vocab).mapToDouble(i -> factors[row] * (Math.exp(in[at + i]) / sum - (i == row * 31 % vocab ? 1
        : 0))).toArray();
  }
}
