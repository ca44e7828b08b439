// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.BlockTable;
import dev.diffusionvl.runtime.op.Predictions;
import dev.diffusionvl.runtime.op.Remask;
import dev.diffusionvl.runtime.op.Sample;
import dev.diffusionvl.runtime.op.SampleWorkspace;

/** All device memory that decoding works on. A batch keeps it and replaces it only when a request does not fit. */
final class DecodeMemory implements AutoCloseable {
  private static final int ROUND = 128; // rows of growth, so that a slightly longer prompt still fits

  /**
   * What the sequences that pass together need.
   *
   * @param slots sequences
   * @param cacheRows rows of the cache for all of them
   * @param positions rows of the longest prompt and answer
   * @param promptRows rows of prompts in a pass
   * @param promptBlock rows of a segment of a prompt
   * @param blockRows rows of a decoded block
   * @param variants of a block in a pass: itself and its drafts
   */
  record Size(int slots, int cacheRows, int positions, int promptRows, int promptBlock, int blockRows, int variants) {
    /**
     * What sequences of such blocks need.
     *
     * @param maxPositions rows of the longest sequence that the model takes
     * @param options of the one request that the memory is for, where the limits leave it to the request
     */
    static Size of(Batch.Limits limits, int maxPositions, Extent extent, GenerationOptions options) {
      int slots = Sequence.together(limits.slots(), extent.blockRows());
      boolean alone = limits.cacheRows() == 0;
      int drafts = Sequence.drafts(alone ? options : options.withSampling(0, 0, 1), extent, slots);
      int cacheRows = alone ? extent.cacheRows(drafts) : limits.cacheRows();
      int positions = alone ? extent.total() : Math.max(extent.total(), Math.min(cacheRows, maxPositions));
      int blockSize = extent.blockSize();
      boolean nothingRides = extent.promptBlocks() == 0 && extent.blocks() <= 1;
      int whole = Math.max(1, extent.promptBlocks()) * blockSize;
      int promptRows = nothingRides ? 0 : alone ? whole : Math.max(1, limits.promptRows() / blockSize) * blockSize;
      return new Size(slots, cacheRows, positions, promptRows, blockSize, extent.blockRows(), 1 + drafts);
    }

    /** The least size that serves both, blocks and slots being equal. */
    Size with(Size other) {
      return new Size(slots, Math.max(cacheRows, other.cacheRows), Math.max(positions, other.positions),
          Math.max(promptRows, other.promptRows), promptBlock, blockRows, Math.max(variants, other.variants));
    }

    private boolean alike(Size other) {
      return slots == other.slots && promptBlock == other.promptBlock && blockRows == other.blockRows;
    }

    boolean serves(Size need) {
      return alike(need) && equals(with(need));
    }

    Size rounded() {
      return new Size(slots, round(cacheRows), round(positions), round(promptRows), promptBlock, blockRows, variants);
    }

    private static int round(int n) {
      return (int) Math.min(Integer.MAX_VALUE, (n + (ROUND - 1L)) / ROUND * ROUND);
    }

    /** Most sequences of a pass with those that fill it up: each of up to three groups may grow to the next power of two. */
    private int paddedSlots() {
      return slots == 1 ? 1 : 2 * slots;
    }

    int scored() {
      return paddedSlots() * variants;
    }

    /** Most blocks of a pass that are written: a block that rides comes with one variant. */
    int written() {
      return Math.max(2 * paddedSlots(), scored() + (slots == 1 ? 0 : PassPlan.bucket(slots)));
    }

    int passRows() {
      return Math.max(1, promptRows + (promptRows == 0 && slots == 1 ? scored() : written()) * blockRows);
    }

    /** Most keys that a row of a block sees: its sequence, and drafts before it. */
    int keys() {
      return (int) Math.min(cacheRows, positions + (long) variants * blockRows);
    }

    private int segments() {
      return (promptRows + promptBlock - 1) / promptBlock + written();
    }
  }

  private final Size size;
  private final DType dtype;
  private final DeviceScope owned;
  private final KvCache cache;
  private final RopeTable rope;
  private final Transformer transformer;
  private final BlockTable blocks;
  private final PassTables tables;
  private final Predictions predictions;
  private final ChosenTokens chosen;
  private final LegalTokens legal;
  private final WantedLogits wanted;
  private final HostLogits hostLogits;
  private final DeviceBuffer given;
  private final DeviceBuffer uniforms;
  private final SampleWorkspace draws;
  private final PassGraphs graphs;
  private final PassPlan.Padding padding;

  private DecodeMemory(DiffusionVl model, Stream stream, LayerOpsFactory factory, KvChoice kv, Size size) {
    this.size = size;
    Device device = model.device();
    TextConfig text = model.config().text();
    dtype = model.dtype();
    int rows = size.blockRows();
    boolean padded = size.slots() > 1;
    try (DeviceScope scope = new DeviceScope(device)) {
      cache = scope.own(new KvCache(device, dtype, kv, text, size.cacheRows() + (padded ? rows : 0)));
      // With three positions per row each sequence has angles of its own: those of slot i of the cache are in row i.
      rope = scope.own(model.config().mropeSection().isEmpty()
          ? RopeTable.text(device, stream, Math.max(1, size.positions()), text.headDim(), text.ropeTheta())
          : RopeTable.open(device, stream, Math.max(1, size.cacheRows() + (padded ? rows : 0)), text.headDim()));
      transformer = scope.own(new Transformer(dtype, text, model.text(), model.kernels(), stream, factory, size.passRows(), rows,
          size.written(), size.scored(), size.keys()));
      blocks = scope.own(new BlockTable(device, size.slots() + (padded ? 1 : 0), rows, size.variants()));
      tables = scope.own(new PassTables(device, size.segments(), size.written() * Math.max(1, rows), size.paddedSlots()));
      long predicted = (long) size.scored() * rows;
      predictions = new Predictions(scope.allocate("predicted tokens", DType.I32, predicted),
          scope.allocate("confidence", DType.F32, predicted), scope.allocate("logit maximum", DType.F32, predicted),
          scope.allocate("softmax denominator", DType.F32, predicted));
      chosen = new ChosenTokens(scope, predictions);
      wanted = new WantedLogits(scope, dtype, predictions, size.slots());
      hostLogits = new HostLogits(scope, dtype, model.text().head().out());
      legal = new LegalTokens(scope, stream, predicted, text.vocabSize());
      given = scope.allocate("prompt rows of blocks", dtype, (long) size.slots() * rows, text.hiddenSize());
      uniforms = scope.allocate("uniforms", DType.F64, Math.max(1, (long) blocks.slots() * rows));
      draws = scope.own(new SampleWorkspace(stream, Math.toIntExact(predicted)));
      graphs = scope.own(new PassGraphs());
      padding = padded ? pad(stream, rows) : null;
      owned = scope.keep();
    }
  }

  private PassPlan.Padding pad(Stream stream, int rows) {
    int slot = size.slots();
    blocks.start(slot, new Remask.Rule(false, 0, 0, 1, 0), new Sample.Rule(1, 0, 1, -1, 0, false));
    blocks.begin(slot, new int[rows], -1);
    blocks.upload(stream, slot);
    return new PassPlan.Padding(slot, cache.ranges().take(rows));
  }

  /** {@code memory} if it serves the need, else a larger one in its place. */
  static DecodeMemory serving(Size need, DecodeMemory memory, DiffusionVl model, Stream stream, LayerOpsFactory factory, KvChoice kv) {
    if (memory != null && memory.size.serves(need)) {
      return memory;
    }
    Size size = memory == null || !memory.size.alike(need) ? need : need.with(memory.size);
    if (memory != null) {
      memory.close(); // before the allocation: both at once may not fit
    }
    return new DecodeMemory(model, stream, factory, kv, size.rounded());
  }

  Size size() {
    return size;
  }

  KvCache cache() {
    return cache;
  }

  RopeTable rope() {
    return rope;
  }

  Transformer transformer() {
    return transformer;
  }

  /** The sequences' blocks, and one slot more for blocks that fill up a pass. */
  BlockTable blocks() {
    return blocks;
  }

  /** Of {@link #blocks}. */
  PassPlan.Places places() {
    return new PassPlan.Places(blocks.rows(), blocks::finishedIdsAt);
  }

  PassTables tables() {
    return tables;
  }

  /** Of all scored rows of a pass. */
  Predictions predictions() {
    return predictions;
  }

  /** Of the scored rows of a pass, where not all tokens are legal. */
  LegalTokens legal() {
    return legal;
  }

  /** Logits of the scored rows of a pass that somebody wants to know. */
  WantedLogits wanted() {
    return wanted;
  }

  /** A row of logits that the host changes. */
  HostLogits hostLogits() {
    return hostLogits;
  }

  /** Queues the copy of what was decided: of predictions where the host decides, of blocks where the device does. */
  void download(Stream stream, boolean predictions, boolean blocks) {
    if (predictions) {
      chosen.download(stream);
    }
    if (blocks) {
      this.blocks.download(stream);
    }
  }

  /** What the last pass has decided for a part of it, as of the last download. */
  Decided decided(PassPlan plan, PassPlan.Part part) {
    Sequence sequence = part.sequence();
    return new Decided(new BlockState(blocks, sequence.slot()), chosen, part.variants() == 0 ? 0 : plan.firstScored(sequence),
        wanted, dtype);
  }

  /** [slots · block rows, H]: embeddings of the blocks' prompt rows. */
  DeviceBuffer given() {
    return given;
  }

  /** F64 [slots, block rows]: numbers to draw with. */
  DeviceBuffer uniforms() {
    return uniforms;
  }

  /** Scratch of draws. */
  SampleWorkspace draws() {
    return draws;
  }

  /** Passes captured over this memory. */
  PassGraphs graphs() {
    return graphs;
  }

  /** Null with one slot, where no pass is filled up. */
  PassPlan.Padding padding() {
    return padding;
  }

  @Override
  public void close() {
    owned.close();
  }
}
