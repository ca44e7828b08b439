// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.Blocks;
import dev.diffusionvl.runtime.op.Predictions;
import dev.diffusionvl.runtime.op.Remask;
import dev.diffusionvl.runtime.op.Sample;
import dev.diffusionvl.runtime.op.SampleWorkspace;

/** sample with top-k 1, top-p on and confidence of the unmodified softmax: all that it may have to do, and a known answer. */
public final class SampleBenchmark extends KernelBenchmark {
  private final int rows;
  private final int vocab = bench.config().text().vocabSize();
  private final Operand logits;
  private final Operand table;
  private final Operand task;
  private final Operand token;
  private final Operand probability;
  private final SampleWorkspace workspace;

  public SampleBenchmark(Workbench bench, int rows) {
    super(bench, "sample", rows + "x" + bench.config().text().vocabSize());
    this.rows = rows;
    logits = input("logits", bench.dtype(), 0, 3, rows, vocab);
    table = ints("table", Blocks.masked(rows, new Remask.Rule(false, 0, rows, rows, 0), new Sample.Rule(1, 1, 0.9f, -1, 7, false), 0));
    task = ints("task", 0, 0, 1, 0);
    token = output("token", DType.I32, rows);
    probability = output("probability", DType.F32, rows);
    workspace = new SampleWorkspace(bench.stream(), rows);
  }

  @Override
  public void launch(int copy) {
    Predictions to = new Predictions(token.at(copy), probability.at(copy));
    bench.kernels().sample.launch(bench.stream(), workspace, logits.at(copy), vocab, to, 0, rows, new Blocks(table.at(copy), 1, rows, 1),
        task.at(copy), 1, null, true);
  }

  @Override
  protected double[] expected(int row) {
    return new double[] {ConfidenceBenchmark.topProbability(read(logits), row * vocab, vocab)};
  }

  @Override
  protected double tolerance() {
    return 1e-4;
  }

  @Override
  public void close() {
    workspace.close();
    super.close();
  }
}
