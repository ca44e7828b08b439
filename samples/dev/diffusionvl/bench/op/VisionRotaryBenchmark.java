// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.Heads;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.Rope;

/** vision_rotary over an image's patches. */
public final class VisionRotaryBenchmark extends KernelBenchmark {
  private final int heads = bench.config().vision().heads();
  private final int dim = bench.config().vision().hiddenSize() / heads;
  private final int rows;
  private final Operand qkv;
  private final Operand bias;
  private final Operand cos;
  private final Operand sin;
  private final Operand k;
  private final Operand v;
  private final Operand q;

  public VisionRotaryBenchmark(Workbench bench, int rows) {
    super(bench, "vision_rotary", rows + "x" + 3 * bench.config().vision().hiddenSize());
    this.rows = rows;
    qkv = input("qkv", DType.F32, 0, 1, rows, 3, heads, dim);
    bias = input("bias", 3, heads, dim);
    cos = input("cos", DType.F32, 0, 1, rows, dim / 2);
    sin = input("sin", DType.F32, 0, 1, rows, dim / 2);
    k = output("k", bench.dtype(), heads, rows, dim);
    v = output("v", bench.dtype(), heads, rows, dim);
    q = output("q", bench.dtype(), rows, heads, dim);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().visionRotary.launch(bench.stream(), qkv.at(copy), bias.at(copy), new Rope(cos.at(copy), sin.at(copy)), q.at(copy),
        new KeyValues(k.at(copy), v.at(copy), new Heads(heads, heads, dim), rows));
  }

  @Override
  protected double[] expected(int row) {
    float[] in = read(qkv);
    float[] b = read(bias);
    float[] c = read(cos);
    float[] s = read(sin);
    double[] out = new double[heads * dim];
    int at = row * 3 * heads * dim;
    for (int i = 0; i < out.length; i++) {
      int j = i % dim < dim / 2 ? i + dim / 2 : i - dim / 2;
      int angle = row * (dim / 2) + i % (dim / 2);
      double x = (double) in[at + i] + b[i];
      double other = (double) in[at + j] + b[j];
      out[i] = x * c[angle] + (i % dim < dim / 2 ? -other : other) * s[angle];
    }
    return out;
  }
}
