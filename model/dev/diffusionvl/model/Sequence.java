// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.model.GenerationOptions.Remasking;
import dev.diffusionvl.model.PassPlan.Part;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.Remask;
import dev.diffusionvl.runtime.op.Sample;
import java.util.Arrays;

/**
 * One generation as data: where it stands in block-diffusion decoding (docs/model.md, "Block-diffusion generation"), and what it puts into
 * the next pass. Uses no device.
 *
 * <pre>
 *   PROMPT  the prompt's whole blocks are stored, chunk by chunk
 *   BLOCK   a block of masks, behind what is left of the prompt, is denoised pass by pass until no mask is left
 *   STORE   without fused store: the finished block is stored by a pass of its own
 *   DONE
 * </pre>
 *
 * "Storing" is leaving a block's final keys and values in the cache. With fused store the last chunk of the prompt, and each finished
 * block, ride with the first denoising pass of the block behind them. A block with end of text is the last one.
 */
final class Sequence {
  private static final int MAX_SCORED_ROWS = 512; // with drafts; beyond, rows cost more than passes, and logits are large

  private enum Stage { PROMPT, BLOCK, STORE, DONE }

  private final GenerationOptions options;
  private final boolean fusedStore;
  private final int drafts;
  private final Extent extent;
  private final int[] promptIds;
  private final int maskId;
  private final int eosId;
  private final int[] quota;
  private final GenerationEvents events;
  private final boolean readsEveryPass;
  private final int[] ids; // of prompt and answer; the mask id where nothing is written
  private int slot = -1;
  private int cacheBegin;
  private int cached; // rows in the cache
  private DeviceBuffer embeddings; // of the prompt; the owner is who gave it
  private Stage stage;
  private int block;
  private boolean begun; // the block is in the table of blocks
  private boolean riding; // the finished block is still to be stored
  private boolean ended; // by end of text, or no block is left: only a store may follow
  private int step;
  private int masked;
  private int openDrafts;
  private int prefills;
  private int denoises;
  private int stores;
  private int decodedBlocks;
  private int steps;
  private int commits;

  /**
   * @param promptIds per row of the prompt its token id, or −1 for an image row
   * @param positions that the steps of the schedule share
   * @param drafts most drafts that a pass carries
   */
  Sequence(GenerationOptions options, Extent extent, int[] promptIds, int positions, int maskId, int eosId, int drafts,
      GenerationEvents events) {
    this.options = options;
    this.fusedStore = options.execution().fusedStore();
    this.drafts = drafts;
    this.extent = extent;
    this.promptIds = promptIds;
    this.maskId = maskId;
    this.eosId = eosId;
    this.quota = TransferSchedule.of(positions, options.steps());
    this.events = events;
    // A static schedule says how many steps a block takes; all else shows only in what was committed.
    readsEveryPass = events.live() || drafts > 0 || options.compat() || options.remasking() == Remasking.LOW_CONFIDENCE_DYNAMIC;
    ids = new int[extent.total()];
    Arrays.fill(ids, maskId);
    block = extent.promptBlocks();
    boolean nothing = block >= extent.blocks();
    stage = block > 0 && !(nothing && fusedStore) ? Stage.PROMPT : nothing ? Stage.DONE : Stage.BLOCK;
  }

  /** Drafts that a pass may carry: none where tokens are drawn, since a draft cannot foresee a draw; few where rows are many. */
  static int drafts(GenerationOptions options, Extent extent, int slots) {
    int fit = Math.max(0, MAX_SCORED_ROWS / Math.max(1, slots * extent.blockRows()) - 1);
    return options.temperature() > 0 ? 0 : Math.min(fit, options.execution().speculate());
  }

  /** Sequences of blocks of so many rows that pass together. */
  static int together(int slots, int blockRows) {
    return Math.clamp(MAX_SCORED_ROWS / Math.max(1, blockRows), 1, slots);
  }

  /** Gives the sequence its places: a slot of the table of blocks, and as many slots of the cache as {@link #cacheRows}. */
  void place(int slot, int cacheBegin) {
    this.slot = slot;
    this.cacheBegin = cacheBegin;
  }

  /** The first rows of the prompt, whole blocks, are in its range of the cache already. */
  void restored(int rows) {
    cached = rows;
    promptStored();
  }

  /** Gives it the embeddings of its prompt [prompt rows or more, H]. */
  void embeddings(DeviceBuffer embeddings) {
    this.embeddings = embeddings;
  }

  DeviceBuffer embeddings() {
    return embeddings;
  }

  /** Slots of the cache that it will ever use. */
  int cacheRows() {
    return extent.cacheRows(drafts);
  }

  Remask.Rule rule() {
    int positions = Arrays.stream(quota, 0, options.steps()).sum();
    return new Remask.Rule(options.remasking() == Remasking.LOW_CONFIDENCE_DYNAMIC, options.confidenceThreshold(), positions,
        options.steps(), drafts);
  }

  Sample.Rule sampling() {
    return new Sample.Rule(options.temperature(), options.topK(), options.topP(), excluded(), options.seed(),
        drawn() && options.uniforms() != null);
  }

  /**
   * What it puts into the next pass; null while {@code budget} rows are too few for its chunk of the prompt.
   *
   * @param chunkRows of a chunk, whatever the budget; a multiple of the block size
   */
  Part part(int chunkRows, int budget) {
    if (stage == Stage.STORE) {
      return new Part(this, 0, false, 0, true);
    }
    if (stage == Stage.BLOCK) {
      return new Part(this, 0, riding, riding ? 1 : 1 + Math.min(drafts, openDrafts), false);
    }
    int left = promptBlockRows() - cached;
    int chunk = Math.min(left, chunkRows);
    if (chunk > budget) {
      return null;
    }
    return new Part(this, chunk, false, chunk == left && fusedStore ? 1 : 0, false);
  }

  /** Rows of the prompt's whole blocks. */
  int promptBlockRows() {
    return extent.promptBlocks() * extent.blockSize();
  }

  /** Whether a block has to be put into the table before a pass with this part. */
  boolean begins(Part part) {
    return part.variants() > 0 && !begun;
  }

  /** The block's rows: the mask id, or −1 − {@code given} − i for row i that the prompt fills. */
  int[] begin(int given) {
    int begin = blockBegin();
    int promptRows = extent.promptRows(block);
    int[] rows = new int[extent.blockRows()];
    masked = 0;
    for (int i = 0; i < rows.length; i++) {
      // With compat a prompt row that holds the mask token is denoised like any mask: the reference compares embeddings.
      boolean fixed = i < promptRows && !(options.compat() && promptIds[begin + i] == maskId);
      rows[i] = fixed ? -1 - given - i : maskId;
      masked += fixed ? 0 : 1;
    }
    step = 0;
    openDrafts = 0;
    begun = true;
    return rows;
  }

  /** The numbers that the next pass draws with; null where none are given. @throws IllegalArgumentException if there are too few */
  double[] numbers() {
    if (!drawn() || options.uniforms() == null) {
      return null;
    }
    int rows = extent.blockRows();
    int given = options.uniforms().size();
    if (denoises >= given || options.uniforms().get(denoises).length < rows) {
      throw new IllegalArgumentException("uniforms: denoise forward %d needs %d numbers, the file has %d forwards%s".formatted(denoises,
          rows, given, denoises < given ? " and " + options.uniforms().get(denoises).length + " numbers in this one" : ""));
    }
    return Arrays.copyOf(options.uniforms().get(denoises), rows);
  }

  /** A pass with the part is queued. Returns whether {@link #read} has to follow, behind a download of the table of blocks. */
  boolean queued(Part part) {
    cached += part.cachedRows();
    riding = false;
    if (part.variants() == 0) {
      prefills += part.promptRows() > 0 ? 1 : 0;
      if (part.store()) {
        stores++;
        nextBlock(false);
      }
      return part.promptRows() > 0;
    }
    denoises++;
    if (!readsEveryPass) {
      masked -= Math.min(masked, quota[step++]);
    }
    return readsEveryPass || blockDone() || part.promptRows() > 0;
  }

  private boolean blockDone() {
    return masked == 0 || step == quota.length;
  }

  /**
   * Takes in what the pass did, and reports it.
   *
   * @param state after the pass; looked at only if the pass was to be read
   * @throws NumericalException if the model's logits hold NaN
   */
  void read(Part part, BlockState state) {
    if (part.promptRows() > 0) {
      events.promptRead(cached, promptBlockRows());
    }
    if (part.variants() > 0) {
      if (readsEveryPass) {
        report(state, step);
        step = state.step();
        masked = state.masked();
        openDrafts = state.openDrafts();
      }
      if (blockDone()) {
        if (!readsEveryPass) {
          report(state, 0);
        }
        finishBlock(state);
        return;
      }
    }
    promptStored();
  }

  private void promptStored() {
    if (stage == Stage.PROMPT && cached >= promptBlockRows()) {
      stage = block >= extent.blocks() ? Stage.DONE : Stage.BLOCK;
    }
  }

  private void report(BlockState state, int from) {
    if (state.sawNaN()) {
      throw new NumericalException("the model's logits hold NaN (denoise forward " + state.forwards() + "): broken weights?");
    }
    for (int at = from; at < state.step(); at++) {
      commits += state.committedBy(at);
      events.step(block, at, blockBegin(), state);
    }
  }

  private void finishBlock(BlockState state) {
    steps += step;
    decodedBlocks++;
    for (int i = 0; i < state.rows(); i++) {
      if (state.id(i) >= 0) {
        ids[blockBegin() + i] = state.id(i);
      }
    }
    ended = hasEos() || block == extent.blocks() - 1;
    // False when the last of the S + 1 steps was needed (only with compat, where a committed mask id keeps a position open): the reference
    // then has no pass left to store the block.
    boolean stored = step < quota.length;
    events.blockDone(answer(), blockBegin() + extent.blockRows() - extent.prompt());
    // Storing the block that nothing follows is dead work; the reference does it all the same.
    if (stored && (ended ? options.compat() : !fusedStore)) {
      stage = Stage.STORE;
    } else {
      nextBlock(stored);
    }
  }

  private void nextBlock(boolean storedByNextPass) {
    begun = false;
    riding = storedByNextPass;
    stage = ended ? Stage.DONE : Stage.BLOCK;
    block += ended ? 0 : 1;
  }

  private boolean hasEos() {
    for (int i = blockBegin() + extent.promptRows(block); i < blockBegin() + extent.blockRows(); i++) {
      if (ids[i] == eosId) {
        return true;
      }
    }
    return false;
  }

  boolean done() {
    return stage == Stage.DONE;
  }

  Extent extent() {
    return extent;
  }

  GenerationEvents events() {
    return events;
  }

  int slot() {
    return slot;
  }

  int cacheBegin() {
    return cacheBegin;
  }

  /** Slot behind the rows that are cached. */
  int cacheEnd() {
    return cacheBegin + cached;
  }

  int cached() {
    return cached;
  }

  /** Position of the block that is denoised. */
  int blockBegin() {
    return extent.begin(block);
  }

  /** How many rows of the block the prompt fills. */
  int promptRows() {
    return extent.promptRows(block);
  }

  /** Tokens are drawn; otherwise the most likely one is taken. */
  boolean drawn() {
    return options.temperature() > 0;
  }

  /** An id that is never chosen, or −1. */
  int excluded() {
    return options.compat() ? -1 : maskId;
  }

  boolean decidedLike(Sequence other) {
    return drawn() == other.drawn() && (drawn() || excluded() == other.excluded());
  }

  /** The ids of the answer so far: positions prompt length to prompt length + genLength. */
  int[] answer() {
    return Arrays.copyOfRange(ids, extent.prompt(), extent.prompt() + options.genLength());
  }

  /** "eos", "cancelled" or "length". */
  String finishReason() {
    return Arrays.stream(answer()).anyMatch(id -> id == eosId) ? "eos" : events.wasCancelled() ? "cancelled" : "length";
  }

  GenerationResult.Counts counts() {
    return new GenerationResult.Counts(decodedBlocks, prefills, denoises, stores, steps, commits);
  }
}
