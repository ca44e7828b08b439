// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples.bench.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.Segments;
import dev.diffusionvl.samples.bench.Operand;
import dev.diffusionvl.samples.bench.Workbench;

/** skinny_qkv: norm, QKV, bias, rotation and KV write of rows behind a context. */
public final class SkinnyQkvBenchmark extends SkinnyBenchmark {
  private static final int DIM = 128;

  private final int heads;
  private final int kvHeads;
  private final int context = bench.pick(1000, 16);
  private final int slots;
  private final Operand h;
  private final Operand squares;
  private final Operand norm;
  private final Operand w;
  private final Operand bias;
  private final Operand cos;
  private final Operand sin;
  private final Operand keys;
  private final Operand values;
  private final Operand accumulators;
  private final Operand normed;
  private final Operand q;
  private final Segments segments;

  public SkinnyQkvBenchmark(Workbench bench, int m, int heads, int kvHeads, int k) {
    super(bench, "skinny_qkv", "qkv", m, (heads + 2 * kvHeads) * DIM, k);
    this.heads = heads;
    this.kvHeads = kvHeads;
    slots = context + m;
    h = input("h", m, k);
    norm = input("norm", bench.dtype(), 1, 0.1, k);
    w = weights();
    bias = input("bias", n);
    cos = input("cos", DType.F32, 0, 1, slots, DIM / 2);
    sin = input("sin", DType.F32, 0, 1, slots, DIM / 2);
    keys = updated("k cache", bench.dtype(), 0, 1, kvHeads, slots, DIM);
    values = updated("v cache", bench.dtype(), 0, 1, kvHeads, slots, DIM);
    squares = squares();
    accumulators = accumulators();
    normed = output("normed of the baseline", bench.dtype(), m, k);
    q = output("q", bench.dtype(), m, heads, DIM);
    segments = new Segments(bench.device(), 1);
    segments.add(0, m, context, context, 0, context, 1);
    segments.upload(bench.stream());
  }

  @Override
  public void launch(int copy) {
    fillSquares(h, squares, copy); // which in a model the kernel before has left
    bench.kernels().skinnyQkv().launch(bench.stream(), workspace, h.at(copy), squares.at(copy), norm.at(copy), EPS, w.at(copy),
        bias.at(copy), cos.at(copy), sin.at(copy), segments, q.at(copy), keys.at(copy), values.at(copy), heads, kvHeads, slots, k);
  }

  @Override
  public void launchBaseline(int copy) {
    bench.kernels().rmsNorm().launch(bench.stream(), h.at(copy), norm.at(copy), normed.at(copy), m, k, EPS);
    bench.gemm().multiply(normed.at(copy), w.at(copy), accumulators.at(copy), m, n, k);
    bench.kernels().ropeKvAppend().launch(bench.stream(), accumulators.at(copy), bias.at(copy), cos.at(copy), sin.at(copy), segments,
        q.at(copy), keys.at(copy), values.at(copy), heads, kvHeads, DIM, slots);
  }

  @Override
  protected double[] expected(int row) {
    int width = heads * DIM;
    double[] x = product(normed(h, norm, row), w, 0, width); // checks halves of the first and the last head
    float[] b = read(bias);
    float[] c = read(cos);
    float[] s = read(sin);
    for (int i = 0; i < width; i++) {
      x[i] += b[i];
    }
    double[] out = new double[width];
    for (int i = 0; i < width; i++) {
      boolean first = i % DIM < DIM / 2;
      double other = x[first ? i + DIM / 2 : i - DIM / 2];
      int angle = (context + row) * (DIM / 2) + i % (DIM / 2);
      out[i] = x[i] * c[angle] + (first ? -other : other) * s[angle];
    }
    return out;
  }

  @Override
  public void close() {
    segments.close();
    super.close();
  }
}
