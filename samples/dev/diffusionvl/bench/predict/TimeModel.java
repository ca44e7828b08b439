// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.predict;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.op.SkinnySplit;
import dev.diffusionvl.runtime.op.WeightForm;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * The time of one denoising pass in bf16 as a replayed graph, kernel by kernel. Each kernel's weights stream at the rate that a copy
 * reaches, as far as enough bytes are under way. Around that lie times that do not shrink with the bytes. The constants are estimates from
 * a reading of the kernels' instructions and from published latencies of an H100; the first measurements are to correct them.
 */
public final class TimeModel {
  // Microseconds.
  private static final double GAP = 1.3; // between two nodes of a graph
  private static final double START = 0.3; // first instructions, from a cold cache
  private static final double FIRST_BYTE = 0.8; // a load that reaches device memory while that is busy
  private static final double OVERLAPPED = 2.2; // of those three, what passes while the kernel before ends

  private static final double LAST_CHUNK = 0.2; // its wait and its products
  private static final double HAND_OVER = 0.5; // partial sums stored and fenced, by every thread
  private static final double HAND_OVER_ONE = 0.3; // by one
  private static final double ARRIVAL = 0.4; // an atomic to the L2 cache and back
  private static final double SECOND_FENCE = 0.2; // by every thread
  private static final double EACH_PART = 0.12; // partial sums added up, asked for in rounds of one to four
  private static final double FOUR_PARTS = 0.35; // asked for together
  private static final double EPILOGUE = 0.4;
  private static final double DRAIN = 0.2;
  private static final double MERGE_ROUND = 0.1; // 256 candidates for tokens, by the last block

  private static final double SEGMENT = 0.6; // attention's description of what it sees
  private static final double KEYS = 0.9;
  private static final double FIRST_TILE = 0.8;
  private static final double NEXT_TILE = 1.0;
  private static final double WARPS = 0.4; // the warps of a block add up
  private static final double RANGES = 1.2; // partial results stored, fences, arrival
  private static final double EACH_RANGE = 0.1;

  private static final double EMBEDDING = 3.2;
  private static final double DECISION = 6.2;

  private static final int TILE = 128;
  private static final int MOST_ROWS = 64; // of one launch
  private static final int KEY_TILE = 64;
  private static final int ROW_TILE = 16;
  private static final int BLOCKS_OF_ATTENTION = 128;
  private static final int MOST_RANGES = 32;
  private static final int COLUMNS_BYTES = 8 * (TILE + 4) * 4;
  private static final int STATIC_BYTES = 2 << 10; // of a block, with what the driver keeps
  private static final int OTHER_SHARED = 28 << 10; // of a multiprocessor, in a persistent kernel

  private final Gpu gpu;
  private final Set<Change> changes;

  /** The model of a GPU with the changes that a session has without asking. */
  public static TimeModel usual(Gpu gpu, boolean overlap) {
    Set<Change> changes = Change.usual();
    if (overlap) {
      changes.add(Change.OVERLAP);
    }
    return new TimeModel(gpu, changes);
  }

  /** The changes that a session has without asking. */
  public static Set<Change> usualChanges() {
    return Change.usual();
  }

  public TimeModel(Gpu gpu, Set<Change> changes) {
    this.gpu = gpu;
    this.changes = EnumSet.noneOf(Change.class);
    this.changes.addAll(changes);
    if (!gpu.overlaps()) {
      this.changes.remove(Change.OVERLAP);
    }
  }

  /** Milliseconds of a pass. */
  public static double millis(List<KernelTime> kernels) {
    return kernels.stream().mapToDouble(KernelTime::millis).sum();
  }

  /**
   * The kernels of a pass.
   *
   * @param form of the layers' weights; the head's are bf16
   * @param context committed rows
   * @param rows rows of the pass
   */
  public List<KernelTime> forward(TextConfig c, WeightForm form, int context, int rows) {
    int width = c.headDim();
    List<KernelTime> kernels = new ArrayList<>();
    kernels.add(new KernelTime("gather_rows", 1, 0, 0, EMBEDDING, 0, GAP));
    int layers = c.layers();
    kernels.add(product("skinny_qkv", form, layers, (c.heads() + 2 * c.kvHeads()) * width, c.hiddenSize(), false, rows, 0));
    kernels.add(attention(c, context, rows));
    kernels.add(product("skinny_residual o", form, layers, c.hiddenSize(), c.heads() * width, false, rows, 0));
    kernels.add(product("skinny_swiglu", form, layers, 2 * c.intermediateSize(), c.hiddenSize(), true, rows, 0));
    kernels.add(product("skinny_residual down", form, layers, c.hiddenSize(), c.intermediateSize(), false, rows, 0));
    double merge = MERGE_ROUND * Math.ceil(rows * Math.ceilDiv(c.vocabSize(), TILE) / 256.0);
    kernels.add(product("skinny_confidence", WeightForm.DENSE, 1, c.vocabSize(), c.hiddenSize(), false, rows, merge));
    kernels.add(new KernelTime("remask", 1, 0, 0, DECISION, 0, GAP));
    return changes.contains(Change.PERSISTENT) ? kernels.stream().map(this::inOneKernel).toList() : kernels;
  }

  private KernelTime product(String name, WeightForm form, int count, int n, int k, boolean paired, int rows, double merge) {
    SkinnySplit split = SkinnySplit.of(n, k, paired);
    long bytes = (long) n * k * form.bits() / Byte.SIZE;
    int launches = Math.ceilDiv(rows, MOST_ROWS);
    int m = Math.clamp(Integer.highestOneBit(2 * rows - 1), 8, MOST_ROWS);
    int shared = form.ringBytes(m) + COLUMNS_BYTES + STATIC_BYTES;
    int resident = Math.max(1, gpu.sharedBytes() / shared) * gpu.multiprocessors();
    double stream = 0;
    int waves = 0;
    for (int left = split.blocks(); left > 0; left -= resident) {
      int blocks = Math.min(left, resident);
      stream += (double) bytes * blocks / split.blocks() / rate(blocks * (form.stages(m) - 1.0) * form.unitBytes()) * 1e6;
      waves++;
    }
    double begin = START + FIRST_BYTE * waves;
    double gap = GAP;
    if (changes.contains(Change.OVERLAP)) {
      gap = 0;
      begin += GAP - OVERLAPPED;
    }
    int parts = Math.ceilDiv(split.chunks(), split.span()) + (split.chunks() % split.span() == 0 ? 0 : 1);
    return new KernelTime(name, count * launches, bytes, stream, begin, tail(Math.max(1, parts)) + merge, gap);
  }

  /** Bytes per second with so many of them under way: a memory that is asked for twice what its latency hides is nearly at its best. */
  private double rate(double underWay) {
    double needed = gpu.copyBytesPerSecond() * FIRST_BYTE * 1e-6;
    return Math.min(gpu.copyBytesPerSecond() * Math.max(0.5, 0.985 - 0.14 * needed / underWay), underWay / (FIRST_BYTE * 1e-6));
  }

  private double tail(int parts) {
    double sums = changes.contains(Change.TAILS) ? HAND_OVER_ONE + ARRIVAL + FOUR_PARTS * Math.ceilDiv(Math.max(1, parts - 1), 4)
        : HAND_OVER + ARRIVAL + SECOND_FENCE + EACH_PART * parts;
    return LAST_CHUNK + sums + EPILOGUE + DRAIN;
  }

  private KernelTime attention(TextConfig c, int context, int rows) {
    int group = c.heads() / c.kvHeads();
    int most = Math.clamp(BLOCKS_OF_ATTENTION / ((long) c.kvHeads() * Math.ceilDiv(8 * group, ROW_TILE)), 1, MOST_RANGES);
    int tiles = Math.ceilDiv(context + rows, KEY_TILE);
    int each = Math.ceilDiv(tiles, most);
    int ranges = Math.ceilDiv(tiles, each);
    long bytes = 2L * 2 * c.kvHeads() * c.headDim() * (context + rows);
    double stream = bytes / gpu.copyBytesPerSecond() * 1e6;
    // While a block works on a tile the next one is on its way: the longer of the two is seen.
    double latency = SEGMENT + KEYS + FIRST_TILE + Math.max(0, (each - 1) * NEXT_TILE - stream);
    double tail = WARPS + (ranges > 1 ? RANGES + EACH_RANGE * ranges : 0) + EPILOGUE;
    return new KernelTime("attention", c.layers(), bytes, stream, latency, tail, GAP);
  }

  /**
   * The same work in a persistent kernel: while a boundary between two products is waited for, weights of what follows go on arriving, as
   * many as the rings of all multiprocessors hold. What a boundary takes longer than that is seen.
   */
  private KernelTime inOneKernel(KernelTime kernel) {
    double ahead = (double) gpu.multiprocessors() * Math.max(0, gpu.sharedBytes() - OTHER_SHARED) / gpu.copyBytesPerSecond() * 1e6;
    double bubble = kernel.latency() + kernel.tail();
    boolean last = kernel.count() == 1; // nothing follows whose weights could arrive meanwhile
    return new KernelTime(kernel.kernel(), kernel.count(), kernel.bytes(), kernel.stream(), last ? kernel.latency() : 0,
        last ? kernel.tail() : Math.max(0, bubble - ahead), 0);
  }
}
