// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.predict;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.model.KvChoice;
import dev.diffusionvl.runtime.op.SkinnySplit;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;
import dev.diffusionvl.runtime.op.WeightForm;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * The time of one denoising pass in bf16 as a replayed graph, kernel by kernel. Each kernel's weights stream at the rate that a copy
 * reaches, as far as enough bytes are under way. Around that lie times that do not shrink with the bytes. The constants are estimates from
 * a reading of the kernels' instructions and from published latencies of an H100; the first measurements are to correct them.
 *
 * <p>With overlap the memory's time is what counts: all bytes over its rate, and the moments in which nothing is asked of it. Weights
 * that a kernel asks for while the one before still streams win nothing, for they take that one's place in the queue. Won is what arrives
 * while the one before meets, adds up and writes: as much as the kernel's blocks that find room beside it have asked for by then.
 */
public final class TimeModel {
  // Microseconds.
  private static final double GAP = 1.3; // between two nodes of a graph
  private static final double START = 0.3; // first instructions, from a cold cache
  private static final double FIRST_BYTE = 0.8; // a load that reaches device memory while that is busy
  private static final double LET_IN = GAP + START; // from the word that the next kernel may start to its first instruction
  private static final double BEHIND_WAIT = 0.5; // rows of x and their squares in one trip to the L2 cache, a barrier
  private static final double BEHIND_WAIT_IN_TURN = 1.4; // stage by stage, each waited for
  private static final double CHUNK = 0.28; // from one to the next, when the weights are there
  private static final double CHUNK_NORMED = 0.31; // the norm's weights are asked for a chunk ahead
  private static final double CHUNK_BULK = 0.2; // without a barrier of the block; the norm is the producer's

  private static final double LAST_CHUNK = 0.2; // its wait and its products
  private static final double HAND_OVER = 0.5; // partial sums stored and fenced, by every thread
  private static final double HAND_OVER_ONE = 0.3; // by one
  private static final double ARRIVAL = 0.4; // an atomic to the L2 cache and back
  private static final double SECOND_FENCE = 0.2; // by every thread
  private static final double EACH_PART = 0.12; // partial sums added up, asked for in rounds of one to four
  private static final double FOUR_PARTS = 0.35; // asked for together
  private static final double HANDED_ON = 0.6; // sums of a span that another block began, from the L2 cache
  private static final double EPILOGUE = 0.4;
  private static final double OPERAND = 0.2; // of that, where it waits to know the rows' segments
  private static final double DRAIN = 0.2;
  private static final double MERGE_ROUND = 0.1; // 256 candidates for tokens, by the last block

  private static final double EMBEDDING = 3.2;
  private static final double DECISION = 6.2;

  private static final int TILE = 128;
  private static final int MOST_ROWS = 64; // of one launch
  private static final int COLUMNS_BYTES = 8 * (TILE + 4) * 4;
  private static final int STATIC_BYTES = 2 << 10; // of a block, with what the driver keeps
  private static final int PREFETCHED = 64 << 10; // of a block, into the L2 cache
  private static final int OTHER_SHARED = 28 << 10; // of a multiprocessor, in a persistent kernel

  private final Gpu gpu;
  private final Set<Change> changes;

  /** The model of a GPU with the changes that a session of this process has; without the overlap where that is said. */
  public static TimeModel usual(Gpu gpu, boolean overlap) {
    Set<Change> changes = Change.usual();
    if (!SkinnyWorkspace.bulkByDefault()) {
      changes.remove(Change.RING);
    }
    if (!overlap) {
      changes.remove(Change.OVERLAP);
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
    if (!gpu.overlaps() || changes.contains(Change.PERSISTENT)) { // which has no kernels to overlap
      this.changes.remove(Change.OVERLAP);
    }
    if (!gpu.bulk()) {
      this.changes.remove(Change.RING);
    }
  }

  /** Whether it counts with a change: one that it was given, on a GPU that can. */
  public boolean has(Change change) {
    return changes.contains(change);
  }

  /** Milliseconds of a pass. */
  public static double millis(List<KernelTime> kernels) {
    return kernels.stream().mapToDouble(KernelTime::millis).sum();
  }

  /**
   * The kernels of a pass.
   *
   * @param form of the layers' weights; the head's are bf16
   * @param kv how keys and values are kept, beside activations in bf16
   * @param context committed rows
   * @param rows rows of the pass
   */
  public List<KernelTime> forward(TextConfig c, WeightForm form, KvChoice kv, int context, int rows) {
    int width = c.headDim();
    List<KernelTime> kernels = new ArrayList<>();
    kernels.add(new KernelTime("gather_rows", 1, 0, 0, EMBEDDING, 0, GAP));
    int layers = c.layers();
    Product down = product("skinny_residual down", form, layers, c.hiddenSize(), c.intermediateSize(), false, rows, Ends.NONE);
    Product qkv = product("skinny_qkv", form, layers, (c.heads() + 2 * c.kvHeads()) * width, c.hiddenSize(), false, rows,
        Ends.NORMS_AND_ASKS);
    Product output = product("skinny_residual o", form, layers, c.hiddenSize(), c.heads() * width, false, rows, Ends.NONE);
    Product gateUp = product("skinny_swiglu", form, layers, 2 * c.intermediateSize(), c.hiddenSize(), true, rows, Ends.NORMS);
    Product head = product("skinny_confidence", WeightForm.DENSE, 1, c.vocabSize(), c.hiddenSize(), false, rows, Ends.NORMS);
    double merge = MERGE_ROUND * Math.ceil(rows * Math.ceilDiv(c.vocabSize(), TILE) / 256.0);
    KernelTime attention = new AttentionTime(gpu, changes).of(c, kv, context, rows);
    kernels.add(time(qkv, before(down), 0));
    kernels.add(attention);
    double idle = Math.max(0, attention.micros() - attention.stream() - LET_IN);
    kernels.add(time(output, new Before(idle, AttentionTime.BLOCK_BYTES, true), 0));
    kernels.add(time(gateUp, before(output), 0));
    kernels.add(time(down, before(gateUp), 0));
    kernels.add(time(head, before(down), merge));
    kernels.add(new KernelTime("remask", 1, 0, 0, DECISION, 0, GAP));
    return changes.contains(Change.PERSISTENT) ? kernels.stream().map(this::inOneKernel).toList() : kernels;
  }

  /** What a product does at its two ends: norms its rows; asks early for an epilogue's operands. */
  private enum Ends {
    NONE, NORMS, NORMS_AND_ASKS
  }

  /**
   * A product.
   *
   * @param shared bytes of a block
   * @param stream microseconds in which its weights come
   * @param waves of blocks
   * @param tail from the last byte to its end
   * @param ring bytes of weights that a block asks for at once
   * @param chunk microseconds from one chunk to the next, when the weights are there
   */
  private record Product(String name, int count, long bytes, SkinnySplit split, int shared, double stream, int waves, double tail,
      long ring, double chunk) {}

  /**
   * The kernel before a product.
   *
   * @param idle microseconds from the product's first instruction, if that may come early, to that kernel's end, in which the memory has
   *     nothing of that kernel's to do
   * @param shared bytes of shared memory that it takes of a multiprocessor
   * @param idles whether it leaves the memory idle for long, so that it does not matter when exactly the product begins
   */
  private record Before(double idle, int shared, boolean idles) {}

  private Product product(String name, WeightForm form, int count, int n, int k, boolean paired, int rows, Ends ends) {
    SkinnySplit split = SkinnySplit.of(n, k, paired);
    long bytes = (long) n * k * form.bits() / Byte.SIZE;
    int launches = Math.ceilDiv(rows, MOST_ROWS);
    int m = Math.clamp(Integer.highestOneBit(2 * rows - 1), 8, MOST_ROWS);
    boolean bulk = changes.contains(Change.RING) && rows <= 8;
    int shared = (bulk ? form.bulkRingBytes(m) : form.ringBytes(m)) + COLUMNS_BYTES + STATIC_BYTES;
    int resident = Math.max(1, gpu.sharedBytes() / shared) * gpu.multiprocessors();
    long ring = (bulk ? form.bulkStages(m) : form.stages(m) - 1L) * form.unitBytes();
    double stream = 0;
    int waves = 0;
    boolean shares = changes.contains(Change.SHARES) && split.blocks() > resident;
    for (int left = shares ? resident : split.blocks(); left > 0; left -= resident) {
      int blocks = Math.min(left, resident);
      stream += (double) bytes * (shares ? 1 : (double) blocks / split.blocks()) / rate((double) blocks * ring) * 1e6;
      waves++;
    }
    int parts = Math.ceilDiv(split.chunks(), split.span()) + (split.chunks() % split.span() == 0 ? 0 : 1);
    double tail = tail(Math.max(1, parts), ends == Ends.NORMS_AND_ASKS, rows) + (shares ? HANDED_ON : 0);
    double chunk = bulk ? CHUNK_BULK : ends == Ends.NONE ? CHUNK : CHUNK_NORMED;
    return new Product(name, count * launches, bytes, split, shared, stream, waves, tail, ring, chunk);
  }

  /** A product that another follows. It lets that one in when its last weights are under way; their time covers (part of) the start. */
  private Before before(Product p) {
    int each = Math.min(Math.ceilDiv(p.split.blocks(), gpu.multiprocessors()), Math.max(1, gpu.sharedBytes() / p.shared));
    double underWay = Math.min(p.stream, p.stream * p.ring * Math.min(p.split.blocks(), each * gpu.multiprocessors()) / p.bytes);
    return new Before(p.tail - Math.max(0, LET_IN - underWay), each * p.shared, false);
  }

  private KernelTime time(Product p, Before before, double merge) {
    if (!changes.contains(Change.OVERLAP)) {
      return new KernelTime(p.name, p.count, p.bytes, p.stream, START + FIRST_BYTE * p.waves, p.tail + merge, GAP);
    }
    // What is asked for while the kernel before streams takes the place of its weights; only where the memory is idle something is won.
    boolean ahead = changes.contains(Change.AHEAD);
    int beside = Math.min(p.split.blocks(), Math.max(0, gpu.sharedBytes() - before.shared) / p.shared * gpu.multiprocessors());
    double asked = ahead || before.idles ? Math.min(p.stream, p.stream * beside * (p.ring + PREFETCHED) / p.bytes) : 0;
    double early = Math.min(asked, Math.max(0, before.idle));
    double behind = ahead ? BEHIND_WAIT : BEHIND_WAIT_IN_TURN;
    double next = behind + FIRST_BYTE * p.waves; // the first byte of what is asked for behind the wait
    double memory = asked >= p.stream ? p.stream - early : Math.max(asked - early, next) + p.stream - asked;
    double products = behind + p.split.span() * p.chunk;
    double seen = Math.max(memory, products);
    return new KernelTime(p.name, p.count, p.bytes, p.stream - early, Math.max(0, seen - (p.stream - early)), p.tail + merge, 0);
  }

  /** Bytes per second with so many of them under way: a memory that is asked for twice what its latency hides is nearly at its best. */
  private double rate(double underWay) {
    double needed = gpu.copyBytesPerSecond() * FIRST_BYTE * 1e-6;
    return Math.min(gpu.copyBytesPerSecond() * Math.max(0.5, 0.985 - 0.14 * needed / underWay), underWay / (FIRST_BYTE * 1e-6));
  }

  private double tail(int parts, boolean asks, int rows) {
    boolean shorter = changes.contains(Change.TAILS);
    double sums = shorter ? HAND_OVER_ONE + ARRIVAL + FOUR_PARTS * Math.ceilDiv(Math.max(1, parts - 1), 4)
        : HAND_OVER + ARRIVAL + SECOND_FENCE + EACH_PART * parts;
    return LAST_CHUNK + sums + EPILOGUE - (shorter && asks && rows <= 8 ? OPERAND : 0) + DRAIN;
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
