// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples.bench.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.SkinnyConfidence;
import dev.diffusionvl.samples.bench.Operand;
import dev.diffusionvl.samples.bench.Workbench;

/** skinny_confidence: final norm, head and most likely token. */
public final class SkinnyConfidenceBenchmark extends SkinnyBenchmark {
  private final Operand h;
  private final Operand squares;
  private final Operand norm;
  private final Operand w;
  private final Operand parts;
  private final Operand normed;
  private final Operand logits;
  private final Operand token;
  private final Operand rowMax;
  private final Operand rowSum;
  private final Operand probability;

  public SkinnyConfidenceBenchmark(Workbench bench, int m, int vocab, int k) {
    super(bench, "skinny_confidence", "lm_head", m, vocab, k);
    h = input("h", m, k);
    norm = input("norm", bench.dtype(), 1, 0.1, k);
    w = weights();
    squares = squares();
    parts = output("parts", DType.F32, SkinnyConfidence.parts(m, vocab));
    normed = output("normed of the baseline", bench.dtype(), m, k);
    logits = output("logits of the baseline", bench.dtype(), m, vocab);
    token = output("token", DType.I32, m);
    rowMax = output("row max", DType.F32, m);
    rowSum = output("row sum", DType.F32, m);
    probability = output("probability", DType.F32, m);
  }

  @Override
  public void launch(int copy) {
    fillSquares(h, squares, copy); // which in a model the kernel before has left
    bench.kernels().skinnyConfidence().launch(bench.stream(), workspace, h.at(copy), squares.at(copy), norm.at(copy), EPS, w.at(copy),
        parts.at(copy), token.at(copy), probability.at(copy), rowMax.at(copy), rowSum.at(copy), m, n, k, -1);
  }

  @Override
  public void launchBaseline(int copy) {
    bench.kernels().rmsNorm().launch(bench.stream(), h.at(copy), norm.at(copy), normed.at(copy), m, k, EPS);
    bench.gemm().multiply(normed.at(copy), w.at(copy), logits.at(copy), m, n, k);
    bench.kernels().confidence().launch(bench.stream(), logits.at(copy), token.at(copy), probability.at(copy), rowMax.at(copy),
        rowSum.at(copy), m, n, -1);
  }

  /** From the baseline's logits: those of a whole vocabulary are dear on the host. */
  @Override
  protected double[] expected(int row) {
    launchBaseline(0);
    return new double[] {ConfidenceBenchmark.topProbability(read(logits.at(0).slice((long) row * n, n)), 0, n)};
  }

  @Override
  protected double tolerance() {
    return bench.dtype() == DType.BF16 ? 2e-2 : 1e-4; // logits may differ by a rounding
  }
}
