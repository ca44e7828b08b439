// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.Heads;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.Segments;
import java.util.stream.IntStream;

/** attention_backward over a training pass: clean blocks, then a noisy block for each of them. */
public final class AttentionBackwardBenchmark extends KernelBenchmark {
  private final int clean; // rows, and as many noisy ones
  private final int block;
  private final Heads heads;
  private final Segments segments;
  private final Operand q;
  private final Operand k;
  private final Operand v;
  private final Operand dOut;
  private final Operand out;
  private final Operand logSumExp;
  private final Operand delta;
  private final Operand dk;
  private final Operand dv;
  private final Operand dq;

  public AttentionBackwardBenchmark(Workbench bench, int rows) {
    super(bench, "attention_backward", rows + " rows");
    var c = bench.config().text();
    clean = rows / 2;
    block = bench.config().blockSize();
    heads = new Heads(c.heads(), c.kvHeads(), c.headDim());
    int slots = 2 * clean;
    segments = new Segments(bench.device(), 2 * ((clean + block - 1) / block));
    for (int half = 0; half < 2; half++) {
      for (int first = 0; first < clean; first += block) {
        int row = half * clean + first;
        segments.add(row, Math.min(block, clean - first), first, row, 0, first, Segments.Own.SELF);
      }
    }
    segments.upload(bench.stream());
    q = input("q", slots, heads.query(), heads.dim());
    k = input("k", heads.keyValue(), slots, heads.dim());
    v = input("v", heads.keyValue(), slots, heads.dim());
    dOut = input("gradient of out", slots, heads.query(), heads.dim());
    out = input("out", slots, heads.query(), heads.dim());
    logSumExp = input("log-sum-exp", DType.F32, 0, 1, slots, heads.query());
    delta = scratch("delta", DType.F32, slots, heads.query());
    dk = output("gradient of k", bench.dtype(), heads.keyValue(), slots, heads.dim());
    dv = output("gradient of v", bench.dtype(), heads.keyValue(), slots, heads.dim());
    dq = output("gradient of q", bench.dtype(), slots, heads.query(), heads.dim());
  }

  private KeyValues keyValues(Operand keys, Operand values, int copy) {
    return new KeyValues(keys.at(copy), values.at(copy), heads, 2 * clean);
  }

  private float scale() {
    return (float) (1 / Math.sqrt(heads.dim()));
  }

  /** The way forward, of which two results are read. */
  @Override
  protected void initialise(int copy) {
    bench.kernels().attention.launchForTraining(bench.stream(), q.at(copy), keyValues(k, v, copy), segments, out.at(copy),
        logSumExp.at(copy), scale());
  }

  @Override
  public void launch(int copy) {
    bench.kernels().attentionBackward.launch(bench.stream(), q.at(copy), keyValues(k, v, copy), segments, out.at(copy),
        logSumExp.at(copy), dOut.at(copy), dq.at(copy), keyValues(dk, dv, copy), delta.at(copy), scale());
  }

  /** The slots that a row sees. */
  private int[] seen(int row) {
    int context = row % clean / block * block;
    int own = row - row % clean + context;
    return IntStream.concat(IntStream.range(0, context), IntStream.range(own, own + Math.min(block, clean - context))).toArray();
  }

  /** Five products; scores and the gradient of P are made twice, which counts as the kernel's own affair. */
  @Override
  public long flops() {
    return 10L * heads.query() * heads.dim() * IntStream.range(0, 2 * clean).mapToLong(row -> seen(row).length).sum();
  }

  @Override
  protected double[] expected(int row) {
    float[] queries = read(q);
    float[] keys = read(k);
    float[] values = read(v);
    float[] gradient = read(dOut);
    int dim = heads.dim();
    int[] seen = seen(row);
    double[] result = new double[heads.query() * dim];
    for (int h = 0; h < heads.query(); h++) {
      int plane = h / (heads.query() / heads.keyValue()) * 2 * clean;
      int at = (row * heads.query() + h) * dim;
      double[] weight = new double[seen.length];
      double[] dWeight = new double[seen.length];
      double total = 0;
      double mean = 0;
      for (int j = 0; j < seen.length; j++) {
        double score = 0;
        for (int i = 0; i < dim; i++) {
          score += (double) queries[at + i] * keys[(plane + seen[j]) * dim + i];
          dWeight[j] += (double) gradient[at + i] * values[(plane + seen[j]) * dim + i];
        }
        weight[j] = Math.exp(score * scale());
        total += weight[j];
        mean += weight[j] * dWeight[j];
      }
      for (int j = 0; j < seen.length; j++) {
        double dScore = weight[j] / total * (dWeight[j] - mean / total) * scale();
        for (int i = 0; i < dim; i++) {
          result[h * dim + i] += dScore * keys[(plane + seen[j]) * dim + i];
        }
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
