// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.Confidence;
import dev.diffusionvl.runtime.op.Predictions;
import java.util.Arrays;
import java.util.stream.IntStream;

/** confidence over the logits of a block; also where every token has to be looked up among the legal ones. */
public final class ConfidenceBenchmark extends KernelBenchmark {
  private final int rows;
  private final int vocab = bench.config().text().vocabSize();
  private final Operand logits;
  private final Operand token;
  private final Operand rowMax;
  private final Operand rowSum;
  private final Operand probability;
  private final Operand legal; // null: none is looked up

  public ConfidenceBenchmark(Workbench bench, int rows, boolean restricted) {
    super(bench, "confidence", rows + "x" + bench.config().text().vocabSize() + (restricted ? " legal" : ""));
    this.rows = rows;
    logits = input("logits", bench.dtype(), 0, 3, rows, vocab);
    legal = restricted ? ints("legal", allLegal(rows, vocab)) : null;
    token = output("token", DType.I32, rows);
    rowMax = output("row max", DType.F32, rows);
    rowSum = output("row sum", DType.F32, rows);
    probability = output("probability", DType.F32, rows);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().confidence.launch(bench.stream(), logits.at(copy),
        new Predictions(token.at(copy), probability.at(copy), rowMax.at(copy), rowSum.at(copy)), rows, vocab, -1,
        legal == null ? null : legal.at(copy));
  }

  /** Sets that hold every token. */
  static int[] allLegal(int rows, int vocab) {
    int[] words = new int[rows * Confidence.legalWords(vocab)];
    Arrays.fill(words, -1);
    return words;
  }

  @Override
  protected double[] expected(int row) {
    return new double[] {topProbability(read(logits), row * vocab, vocab)};
  }

  /** Softmax of the largest of some logits. */
  static double topProbability(float[] logits, int from, int count) {
    double max = IntStream.range(from, from + count).mapToDouble(i -> logits[i]).max().orElseThrow();
    return 1 / IntStream.range(from, from + count).mapToDouble(i -> Math.exp(logits[i] - max)).sum();
  }

  @Override
  protected double tolerance() {
    return 1e-4;
  }
}
