// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.Heads;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.Rope;
import dev.diffusionvl.runtime.op.Segments;

/** rope_kv_append of a block behind 1000 cached rows, to numbers or codes. */
public final class RopeKvAppendBenchmark extends KernelBenchmark {
  private final int heads = bench.config().text().heads();
  private final int kvHeads = bench.config().text().kvHeads();
  private final int dim = bench.config().text().headDim();
  private final int context = bench.pick(1000, 16);
  private final int width = (heads + 2 * kvHeads) * dim;
  private final int rows;
  private final int slots;
  private final Operand qkv;
  private final Operand bias;
  private final Operand cos;
  private final Operand sin;
  private final Operand k;
  private final Operand v;
  private final Operand keyScales; // null: keys and values become numbers
  private final Operand valueScales;
  private final Operand q;
  private final Segments segments;

  /** @param coded keys and values are kept in 8 bits */
  public RopeKvAppendBenchmark(Workbench bench, int rows, boolean coded) {
    super(bench, "rope_kv_append", rows + "x" + (bench.config().text().heads() + 2 * bench.config().text().kvHeads()) + "x128"
        + (coded ? ", kv fp8" : ""));
    this.rows = rows;
    slots = context + rows;
    qkv = input("qkv", DType.F32, 0, 1, rows, width);
    bias = input("bias", width);
    cos = input("cos", DType.F32, 0, 1, slots, dim / 2);
    sin = input("sin", DType.F32, 0, 1, slots, dim / 2);
    DType kept = coded ? DType.U8 : bench.dtype();
    k = zeros("k cache", kept, kvHeads, slots, dim);
    v = zeros("v cache", kept, kvHeads, slots, dim);
    keyScales = coded ? zeros("k scales", DType.F32, kvHeads, slots) : null;
    valueScales = coded ? zeros("v scales", DType.F32, kvHeads, slots) : null;
    q = output("q", bench.dtype(), rows, heads, dim);
    segments = new Segments(bench.device(), 1);
    segments.add(0, rows, context, context, 0, context, Segments.Own.SELF);
    segments.upload(bench.stream());
  }

  @Override
  public void launch(int copy) {
    bench.kernels().ropeKvAppend.launch(bench.stream(), qkv.at(copy), bias.at(copy), new Rope(cos.at(copy), sin.at(copy)), segments,
        q.at(copy), new KeyValues(k.at(copy), v.at(copy), new Heads(heads, kvHeads, dim), slots, keyScales == null ? null
            : new KeyValues.Scales(keyScales.at(copy), valueScales.at(copy))));
  }

  @Override
  public long bytes() {
    long keys = keyScales == null ? (long) dim * bench.dtype().bytes() : dim + Float.BYTES;
    return (long) rows * width * Float.BYTES + (long) rows * (heads * dim * bench.dtype().bytes() + 2 * kvHeads * keys)
        + (long) width * bench.dtype().bytes() + 4L * rows * dim;
  }

  @Override
  protected double[] expected(int row) {
    float[] in = read(qkv);
    float[] b = read(bias);
    float[] c = read(cos);
    float[] s = read(sin);
    double[] out = new double[heads * dim];
    for (int i = 0; i < out.length; i++) {
      int j = i % dim < dim / 2 ? i + dim / 2 : i - dim / 2;
      int angle = (context + row) * (dim / 2) + i % (dim / 2);
      double x = (double) in[row * width + i] + b[i];
      double other = (double) in[row * width + j] + b[j];
      out[i] = x * c[angle] + (i % dim < dim / 2 ? -other : other) * s[angle];
    }
    return out;
  }

  @Override
  public void close() {
    segments.close();
    super.close();
  }
}
