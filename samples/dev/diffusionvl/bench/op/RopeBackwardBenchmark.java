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
import java.util.stream.IntStream;

/** rope_backward over the rows of a training pass. */
public final class RopeBackwardBenchmark extends KernelBenchmark {
  private final int rows;
  private final int heads = bench.config().text().heads();
  private final int kvHeads = bench.config().text().kvHeads();
  private final int dim = bench.config().text().headDim();
  private final Segments segments;
  private final Operand dq;
  private final Operand dk;
  private final Operand dv;
  private final Operand cos;
  private final Operand sin;
  private final Operand gradient;

  public RopeBackwardBenchmark(Workbench bench, int rows) {
    super(bench, "rope_backward", rows + " rows");
    this.rows = rows;
    segments = new Segments(bench.device(), 1);
    segments.add(0, rows, 0, 0, 0, 0, Segments.Own.NONE);
    segments.upload(bench.stream());
    dq = input("dq", rows, heads, dim);
    dk = input("dk", kvHeads, rows, dim);
    dv = input("dv", kvHeads, rows, dim);
    cos = input("cos", DType.F32, 0, 0.5, rows, dim / 2);
    sin = input("sin", DType.F32, 0, 0.5, rows, dim / 2);
    gradient = output("gradient", bench.dtype(), rows, (long) (heads + 2 * kvHeads) * dim);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().ropeBackward.launch(bench.stream(), dq.at(copy),
        new KeyValues(dk.at(copy), dv.at(copy), new Heads(heads, kvHeads, dim), rows), new Rope(cos.at(copy), sin.at(copy)), segments,
        gradient.at(copy));
  }

  @Override
  protected double[] expected(int row) {
    float[] q = read(dq);
    float[] k = read(dk);
    float[] v = read(dv);
    float[] c = read(cos);
    float[] s = read(sin);
    int half = dim / 2;
    return IntStream.range(0, (heads + 2 * kvHeads) * dim).mapToDouble(i -> {
      int head = i / dim;
      int j = i % dim;
      int angle = row * half + j % half;
      if (head >= heads + kvHeads) {
        return v[((head - heads - kvHeads) * rows + row) * dim + j];
      }
      float[] from = head < heads ? q : k;
      int at = (head < heads ? row * heads + head : (head - heads) * rows + row) * dim;
      double other = from[at + (j + half) % dim];
      return from[at + j] * (double) c[angle] + (j < half ? 1 : -1) * other * s[angle];
    }).toArray();
  }

  @Override
  public void close() {
    super.close();
    segments.close();
  }
}
