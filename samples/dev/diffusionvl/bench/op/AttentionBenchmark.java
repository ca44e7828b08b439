// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.AttentionWorkspace;
import dev.diffusionvl.runtime.op.Heads;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.Segments;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

/** attention: a block behind a context of numbers or codes, several behind the same, a prompt by blocks or causal, an image in windows. */
public final class AttentionBenchmark extends KernelBenchmark {
  private final int rows;
  private final int heads;
  private final int kvHeads;
  private final int dim;
  private final int slots;
  private final IntUnaryOperator begin; // of a row's keys
  private final IntUnaryOperator end;
  private final Operand q;
  private final Operand k;
  private final Operand v;
  private final Operand keyScales; // null: keys and values are numbers
  private final Operand valueScales;
  private final Operand out;
  private final Segments segments;
  private AttentionWorkspace workspace; // null: the keys of a row are not split

  /** One block of {@code rows} rows that sees {@code context} cached rows and itself; {@code split}: several blocks share the keys. */
  public static AttentionBenchmark denoise(Workbench bench, int rows, int context, boolean split) {
    return denoise(bench, rows, context, split, false);
  }

  /** The same with keys and values in 8 bits. */
  public static AttentionBenchmark denoiseCoded(Workbench bench, int rows, int context, boolean split) {
    return denoise(bench, rows, context, split, true);
  }

  private static AttentionBenchmark denoise(Workbench bench, int rows, int context, boolean split, boolean coded) {
    var c = bench.config().text();
    int slots = context + rows;
    String shape = rows + " rows, ctx " + context + (coded ? ", kv fp8" : "") + (split ? "" : ", not split");
    AttentionBenchmark benchmark = new AttentionBenchmark(bench, shape, rows, c.heads(), c.kvHeads(), c.headDim(), slots, row -> 0,
        row -> slots, 1, coded);
    benchmark.segments.add(0, rows, context, context, 0, context, Segments.Own.SELF);
    benchmark.segments.upload(bench.stream());
    benchmark.workspace = split ? new AttentionWorkspace(bench.stream(), c.heads(), c.kvHeads(), c.headDim(), 1, rows, slots) : null;
    return benchmark;
  }

  /** As many blocks of {@code rows} rows as speculation carries, which all see the {@code context} cached rows. */
  public static AttentionBenchmark drafts(Workbench bench, int blocks, int rows, int context) {
    var c = bench.config().text();
    AttentionBenchmark benchmark = new AttentionBenchmark(bench, blocks + " x " + rows + " rows, ctx " + context, blocks * rows, c.heads(),
        c.kvHeads(), c.headDim(), context, row -> 0, row -> context, blocks);
    for (int i = 0; i < blocks; i++) {
      benchmark.segments.add(i * rows, rows, 0, 0, 0, context, Segments.Own.NONE);
    }
    benchmark.segments.upload(bench.stream());
    benchmark.workspace = new AttentionWorkspace(bench.stream(), c.heads(), c.kvHeads(), c.headDim(), blocks, rows, context);
    return benchmark;
  }

  /** A prompt of {@code rows} rows: a row sees all blocks up to its own. */
  public static AttentionBenchmark prefill(Workbench bench, int rows, int block) {
    var c = bench.config().text();
    AttentionBenchmark benchmark = new AttentionBenchmark(bench, "prefill " + rows, rows, c.heads(), c.kvHeads(), c.headDim(), rows,
        row -> 0, row -> Math.min(rows, (row / block + 1) * block), (rows + block - 1) / block);
    for (int first = 0; first < rows; first += block) {
      int last = Math.min(first + block, rows);
      benchmark.segments.add(first, last - first, first, first, 0, first, Segments.Own.SELF);
    }
    benchmark.segments.upload(bench.stream());
    return benchmark;
  }

  /** A prompt of {@code rows} rows in one causal segment: a row sees the rows up to itself. */
  public static AttentionBenchmark causal(Workbench bench, int rows) {
    var c = bench.config().text();
    AttentionBenchmark benchmark = new AttentionBenchmark(bench, "causal " + rows, rows, c.heads(), c.kvHeads(), c.headDim(), rows,
        row -> 0, row -> row + 1, 1);
    benchmark.segments.add(0, rows, 0, 0, 0, 0, Segments.Own.CAUSAL);
    benchmark.segments.upload(bench.stream());
    return benchmark;
  }

  /** {@code patches} rows in windows that see themselves alone. */
  public static AttentionBenchmark vision(Workbench bench, int patches, int window) {
    var c = bench.config().vision();
    int count = (patches + window - 1) / window;
    AttentionBenchmark benchmark = new AttentionBenchmark(bench, patches + " patches / " + window, patches, c.heads(), c.heads(),
        c.hiddenSize() / c.heads(), patches, row -> row / window * window, row -> Math.min((row / window + 1) * window, patches), count);
    for (int begin = 0; begin < patches; begin += window) {
      int end = Math.min(begin + window, patches);
      benchmark.segments.add(begin, end - begin, begin, begin, 0, 0, Segments.Own.SELF);
    }
    benchmark.segments.upload(bench.stream());
    return benchmark;
  }

  private AttentionBenchmark(Workbench bench, String shape, int rows, int heads, int kvHeads, int dim, int slots,
      IntUnaryOperator begin, IntUnaryOperator end, int segmentCount) {
    this(bench, shape, rows, heads, kvHeads, dim, slots, begin, end, segmentCount, false);
  }

  private AttentionBenchmark(Workbench bench, String shape, int rows, int heads, int kvHeads, int dim, int slots,
      IntUnaryOperator begin, IntUnaryOperator end, int segmentCount, boolean coded) {
    super(bench, "attention", shape);
    this.rows = rows;
    this.heads = heads;
    this.kvHeads = kvHeads;
    this.dim = dim;
    this.slots = slots;
    this.begin = begin;
    this.end = end;
    q = input("q", rows, heads, dim);
    k = coded ? codes("k", (long) kvHeads * slots * dim) : input("k", kvHeads, slots, dim);
    v = coded ? codes("v", (long) kvHeads * slots * dim) : input("v", kvHeads, slots, dim);
    keyScales = coded ? input("k scales", DType.F32, 1f / 256, 0, kvHeads, slots) : null;
    valueScales = coded ? input("v scales", DType.F32, 1f / 256, 0, kvHeads, slots) : null;
    out = output("out", bench.dtype(), rows, heads, dim);
    segments = new Segments(bench.device(), segmentCount);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().attention.launch(bench.stream(), q.at(copy),
        new KeyValues(k.at(copy), v.at(copy), new Heads(heads, kvHeads, dim), slots, keyScales == null ? null
            : new KeyValues.Scales(keyScales.at(copy), valueScales.at(copy))), segments, out.at(copy), scale(), workspace);
  }

  private float scale() {
    return (float) (1 / Math.sqrt(dim));
  }

  @Override
  public long flops() {
    return 4L * heads * dim * IntStream.range(0, rows).mapToLong(row -> end.applyAsInt(row) - begin.applyAsInt(row)).sum();
  }

  /** Keys or values in the order of their columns, as kernels read them. */
  private float[] numbers(Operand kept, Operand scales) {
    float[] given = read(kept);
    if (scales == null) {
      return given;
    }
    float[] factors = read(scales);
    float[] numbers = new float[given.length];
    for (int i = 0; i < numbers.length; i++) {
      int place = i / 16 * 16 + i % 8 * 2 + i % 16 / 8;
      numbers[i] = (float) Operand.e4m3((int) given[place]) * factors[i / dim];
    }
    return numbers;
  }

  @Override
  protected double[] expected(int row) {
    float[] query = read(q);
    float[] keys = numbers(k, keyScales);
    float[] values = numbers(v, valueScales);
    double[] result = new double[heads * dim];
    for (int h = 0; h < heads; h++) {
      int cache = h / (heads / kvHeads) * slots * dim;
      double total = 0;
      double[] sum = new double[dim];
      for (int s = begin.applyAsInt(row); s < end.applyAsInt(row); s++) {
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
