// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.NormedLinear;
import dev.diffusionvl.runtime.op.Predictions;
import dev.diffusionvl.runtime.op.Residual;
import dev.diffusionvl.runtime.op.SkinnyConfidence;
import dev.diffusionvl.runtime.op.WeightForm;

/** skinny_confidence: final norm, head, most likely token and its probability. Beside it rms_norm, cuBLAS and confidence. */
public final class SkinnyConfidenceBenchmark extends ProductBenchmark {
  private static final int SLICE = 2048;

  private final Operand h;
  private final Operand squares;
  private final Operand norm;
  private final Operand w;
  private final Operand normed;
  private final Operand logits;
  private final Operand parts;
  private final Operand token;
  private final Operand rowMax;
  private final Operand rowSum;
  private final Operand probability;
  private final Operand legal; // null: none is looked up

  public SkinnyConfidenceBenchmark(Workbench bench, WeightForm form, int m, boolean restricted) {
    super(bench, "skinny_confidence", restricted ? "lm_head legal" : "lm_head", form, m, bench.config().text().vocabSize(),
        bench.config().text().hiddenSize());
    h = input("h", m, k);
    squares = squares();
    norm = input("norm", bench.dtype(), 1, 0.1, k);
    w = weights(false);
    normed = scratch("normed", bench.dtype(), m, k);
    logits = scratch("logits", bench.dtype(), m, n);
    parts = scratch("parts", DType.F32, SkinnyConfidence.parts(m, n));
    legal = restricted ? ints("legal", ConfidenceBenchmark.allLegal(m, n)) : null;
    token = output("token", DType.I32, m);
    rowMax = output("row max", DType.F32, m);
    rowSum = output("row sum", DType.F32, m);
    probability = output("probability", DType.F32, m);
  }

  @Override
  protected void initialise(int copy) {
    super.initialise(copy);
    fillSquares(h, squares, copy);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().skinnyConfidence.launch(bench.stream(), workspace, new Residual(h.at(copy), squares.at(copy)),
        new NormedLinear(norm.at(copy), EPS, matrix(copy), null), parts.at(copy),
        new Predictions(token.at(copy), probability.at(copy), rowMax.at(copy), rowSum.at(copy)), m, -1,
        legal == null ? null : legal.at(copy));
  }

  @Override
  public void launchBaseline(int copy) {
    bench.kernels().rmsNorm.launch(bench.stream(), h.at(copy), norm.at(copy), normed.at(copy), m, k, EPS);
    bench.gemm().multiply(normed.at(copy), w.at(copy), logits.at(copy), m, n, k);
    bench.kernels().confidence.launch(bench.stream(), logits.at(copy),
        new Predictions(token.at(copy), probability.at(copy), rowMax.at(copy), rowSum.at(copy)), m, n, -1);
  }

  @Override
  protected double[] expected(int row) {
    if (m > 8) { // a whole vocabulary is dear on the host: once is enough
      launchBaseline(0);
      return new double[] {ConfidenceBenchmark.topProbability(read(logits.at(0).slice((long) row * n, n)), 0, n)};
    }
    double[] x = normed(h, norm, row);
    double[] all = new double[n];
    double max = Double.NEGATIVE_INFINITY;
    for (int from = 0; from < n; from += SLICE) {
      double[] part = product(x, w, from, Math.min(SLICE, n - from));
      for (int i = 0; i < part.length; i++) {
        all[from + i] = part[i];
        max = Math.max(max, part[i]);
      }
    }
    double sum = 0;
    for (double logit : all) {
      sum += Math.exp(logit - max);
    }
    return new double[] {1 / sum};
  }

  /** A probability hangs on a few logits, each rounded to the storage type. */
  @Override
  protected double tolerance() {
    return bench.dtype().isHalf() ? 3e-2 : 1e-4;
  }
}
