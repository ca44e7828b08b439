// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.Predictions;
import dev.diffusionvl.runtime.op.Sample;

/** sample with top-k 1, top-p on and confidence of the unmodified softmax: all sweeps, and a known answer. */
public final class SampleBenchmark extends KernelBenchmark {
  private final int rows;
  private final int vocab = bench.config().text().vocabSize();
  private final Operand logits;
  private final Operand token;
  private final Operand probability;

  public SampleBenchmark(Workbench bench, int rows) {
    super(bench, "sample", rows + "x" + bench.config().text().vocabSize());
    this.rows = rows;
    logits = input("logits", bench.dtype(), 0, 3, rows, vocab);
    token = output("token", DType.I32, rows);
    probability = output("probability", DType.F32, rows);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().sample.launch(bench.stream(), logits.at(copy), new Predictions(token.at(copy), probability.at(copy)), rows, vocab, -1,
        new Sample.Rule(1, 1, 0.9f, true), new Sample.Numbers(null, 7, 0, null));
  }

  @Override
  protected double[] expected(int row) {
    return new double[] {ConfidenceBenchmark.topProbability(read(logits), row * vocab, vocab)};
  }

  @Override
  protected double tolerance() {
    return 1e-4;
  }
}
