// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples.bench.op;

import dev.diffusionvl.runtime.op.AttentionWorkspace;
import dev.diffusionvl.runtime.op.Segments;
import dev.diffusionvl.samples.bench.KernelBenchmark;
import dev.diffusionvl.samples.bench.Operand;
import dev.diffusionvl.samples.bench.Workbench;

/** attention: a block behind a context, or an image's patches in windows. */
public final class AttentionBenchmark extends KernelBenchmark {
  private final int rows;
  private final int heads;
  private final int kvHeads;
  private final int dim;
  private final int slots;
  private final int window;
  private final Operand q;
  private final Operand k;
  private final Operand v;
  private final Operand out;
  private final Segments segments;
  private AttentionWorkspace workspace; // of a denoising pass

  /** One block of {@code rows} rows that sees {@code context} cached rows and itself. */
  public static AttentionBenchmark denoise(Workbench bench, int rows, int context) {
    var c = bench.config().text();
    AttentionBenchmark benchmark =
        new AttentionBenchmark(bench, rows + " rows, ctx " + context, rows, c.heads(), c.kvHeads(), c.headDim(), context + rows,
            context + rows, 1);
    benchmark.segments.add(0, rows, context, context, 0, context, 1);
    benchmark.segments.upload(bench.stream());
    benchmark.workspace = new AttentionWorkspace(bench.stream(), c.heads(), c.kvHeads(), c.headDim(), 1, rows);
    return benchmark;
  }

  /** {@code patches} rows in windows that see themselves alone. */
  public static AttentionBenchmark vision(Workbench bench, int patches, int window) {
    var c = bench.config().vision();
    int count = (patches + window - 1) / window;
    AttentionBenchmark benchmark = new AttentionBenchmark(bench, patches + " patches / " + window, patches, c.heads(), c.heads(),
        c.hiddenSize() / c.heads(), patches, window, count);
    for (int begin = 0; begin < patches; begin += window) {
      int end = Math.min(begin + window, patches);
      benchmark.segments.add(begin, end - begin, begin, begin, begin, end, 0);
    }
    benchmark.segments.upload(bench.stream());
    return benchmark;
  }

  private AttentionBenchmark(Workbench bench, String shape, int rows, int heads, int kvHeads, int dim, int slots, int window,
      int segmentCount) {
    super(bench, "attention", shape);
    this.rows = rows;
    this.heads = heads;
    this.kvHeads = kvHeads;
    this.dim = dim;
    this.slots = slots;
    this.window = window;
    q = input("q", rows, heads, dim);
    k = input("k", kvHeads, slots, dim);
    v = input("v", kvHeads, slots, dim);
    out = output("out", bench.dtype(), rows, heads, dim);
    segments = new Segments(bench.device(), segmentCount);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().attention().launch(bench.stream(), q.at(copy), k.at(copy), v.at(copy), segments, out.at(copy), heads, kvHeads, dim,
        slots, scale(), workspace);
  }

  private float scale() {
    return (float) (1 / Math.sqrt(dim));
  }

  @Override
  public long flops() {
    return 4L * rows * heads * dim * Math.min(window, slots);
  }

  @Override
  protected double[] expected(int row) {
    float[] query = read(q);
    float[] keys = read(k);
    float[] values = read(v);
    int begin = row / window * window;
    int end = Math.min(begin + window, slots);
    double[] result = new double[heads * dim];
    for (int h = 0; h < heads; h++) {
      int cache = h / (heads / kvHeads) * slots * dim;
      double total = 0;
      double[] sum = new double[dim];
      for (int s = begin; s < end; s++) {
        double score = 0;
        for (int i = 0; i < dim; i++) {
          score += (double) query[(row * heads + h) * dim + i] * keys[cache + s * dim + i];
        }
        double weight = Math.exp(score * scale());
        total += weight;
        for (int i = 0; i < dim; i++) {
          sum[i] += weight * values[cache + s * dim + i];
        }
      }
      for (int i = 0; i < dim; i++) {
        result[h * dim + i] = sum[i] / total;
      }
    }
    return result;
  }

  @Override
  public void close() {
    segments.close();
    if (workspace != null) {
      workspace.close();
    }
    super.close();
  }
}
