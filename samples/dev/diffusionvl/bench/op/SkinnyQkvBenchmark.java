// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.Heads;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.NormedLinear;
import dev.diffusionvl.runtime.op.Residual;
import dev.diffusionvl.runtime.op.Rope;
import dev.diffusionvl.runtime.op.Segments;
import dev.diffusionvl.runtime.op.SkinnyQkv;
import dev.diffusionvl.runtime.op.WeightForm;
import java.util.Arrays;

/** skinny_qkv: norm, QKV, bias, rotation, KV write, behind 1000 cached rows. Beside it rms_norm, cuBLAS and rope_kv_append. */
public final class SkinnyQkvBenchmark extends ProductBenchmark {
  private static final int DIM = 128;

  private final TextConfig c = bench.config().text();
  private final int context = bench.pick(1000, 16);
  private final int slots;
  private final Operand h;
  private final Operand squares;
  private final Operand norm;
  private final Operand w;
  private final Operand bias;
  private final Operand cos;
  private final Operand sin;
  private final Operand normed;
  private final Operand acc;
  private final Operand keys;
  private final Operand values;
  private final Operand q;
  private final Segments segments;

  public SkinnyQkvBenchmark(Workbench bench, WeightForm form, int m) {
    super(bench, "skinny_qkv", "qkv", form, m, (bench.config().text().heads() + 2 * bench.config().text().kvHeads()) * DIM,
        bench.config().text().hiddenSize());
    slots = context + m;
    h = input("h", m, k);
    squares = squares();
    norm = input("norm", bench.dtype(), 1, 0.1, k);
    w = weights(false);
    bias = input("bias", n);
    cos = scratch("cos", DType.F32, slots, DIM / 2);
    sin = scratch("sin", DType.F32, slots, DIM / 2);
    normed = scratch("normed", bench.dtype(), m, k);
    acc = scratch("accumulators", DType.F32, m, n);
    keys = scratch("k cache", bench.dtype(), c.kvHeads(), slots, DIM);
    values = scratch("v cache", bench.dtype(), c.kvHeads(), slots, DIM);
    q = output("q", bench.dtype(), m, c.heads(), DIM);
    segments = new Segments(bench.device(), 1);
    segments.add(0, m, context, context, 0, context, Segments.Own.SELF);
    segments.upload(bench.stream());
  }

  @Override
  protected void initialise(int copy) {
    super.initialise(copy);
    fillSquares(h, squares, copy);
    bench.kernels().fillNormal.launch(bench.stream(), cos.at(copy), 0, 1, 1);
    bench.kernels().fillNormal.launch(bench.stream(), sin.at(copy), 0, 1, 2);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().skinnyQkv.launch(bench.stream(), workspace, new Residual(h.at(copy), squares.at(copy)),
        new NormedLinear(norm.at(copy), EPS, matrix(copy), bias.at(copy)),
        new Rope(cos.at(copy), sin.at(copy)), segments, q.at(copy),
        new KeyValues(keys.at(copy), values.at(copy), new Heads(c.heads(), c.kvHeads(), SkinnyQkv.HEAD_DIM), slots));
  }

  @Override
  public void launchBaseline(int copy) {
    bench.kernels().rmsNorm.launch(bench.stream(), h.at(copy), norm.at(copy), normed.at(copy), m, k, EPS);
    bench.gemm().multiply(normed.at(copy), w.at(copy), acc.at(copy), m, n, k);
    bench.kernels().ropeKvAppend.launch(bench.stream(), acc.at(copy), bias.at(copy), new Rope(cos.at(copy), sin.at(copy)), segments,
        q.at(copy), new KeyValues(keys.at(copy), values.at(copy), new Heads(c.heads(), c.kvHeads(), DIM), slots));
  }

  /** First and last head. */
  @Override
  protected double[] expected(int row) {
    double[] x = normed(h, norm, row);
    float[] b = read(bias);
    float[] cosine = read(cos.at(0).slice((long) (context + row) * (DIM / 2), DIM / 2));
    float[] sine = read(sin.at(0).slice((long) (context + row) * (DIM / 2), DIM / 2));
    double[] result = new double[c.heads() * DIM];
    Arrays.fill(result, NOT_CHECKED);
    for (int head : new int[] {0, c.heads() - 1}) {
      double[] y = product(x, w, head * DIM, DIM);
      for (int i = 0; i < DIM / 2; i++) {
        double low = y[i] + b[head * DIM + i];
        double high = y[i + DIM / 2] + b[head * DIM + i + DIM / 2];
        result[head * DIM + i] = low * cosine[i] - high * sine[i];
        result[head * DIM + i + DIM / 2] = high * cosine[i] + low * sine[i];
      }
    }
    return result;
  }

  @Override
  public void close() {
    segments.close();
    super.close();
  }
}
