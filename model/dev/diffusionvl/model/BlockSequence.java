// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.model.PassPlan.Part;
import dev.diffusionvl.runtime.op.Remask;
import java.util.Arrays;

/**
 * A generation by block diffusion (docs/model.md, "Block-diffusion generation"). In full diffusion prompt and answer are one block.
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
final class BlockSequence extends Sequence {
  private enum Stage { PROMPT, BLOCK, STORE, DONE }

  private final boolean fusedStore;
  private final boolean compat;
  private final Schedule schedule;
  private final int[] promptIds;
  private final int maskId;
  private final int eosId;
  private final int[] quota;
  private final Guide guide; // null: any text
  private final boolean readsEveryPass;
  private final float[] probabilities; // of the tokens of the answer; NaN where nothing is written
  private final int[] ids; // of prompt and answer; the mask id where nothing is written
  private Stage stage;
  private int block;
  private boolean begun; // the block is in the table of blocks
  private boolean riding; // the finished block is still to be stored
  private boolean ended; // by end of text, or no block is left: only a store may follow
  private int step;
  private int masked;
  private int openDrafts;
  private int stores;
  private int decodedBlocks;
  private int steps;
  private int commits;

  /**
   * @param promptIds per row of the prompt its token id, or −1 for an image row
   * @param drafts most drafts that a pass carries
   * @param guide of the answer's constraint; null: none
   */
  BlockSequence(GenerationOptions options, Extent extent, Schedule schedule, int[] promptIds, int maskId, int eosId, int drafts,
      Guide guide, GenerationEvents events) {
    super(options, extent, drafts, events);
    this.fusedStore = options.execution().fusedStore();
    this.compat = options.compat();
    this.schedule = schedule;
    this.promptIds = promptIds;
    this.maskId = maskId;
    this.eosId = eosId;
    this.quota = schedule.quota();
    // A static schedule says how many steps a block takes; all else shows only in what was committed.
    readsEveryPass = events.live() || drafts > 0 || compat || schedule.dynamic() || guide != null;
    this.guide = guide;
    probabilities = new float[extent.total()];
    Arrays.fill(probabilities, Float.NaN);
    ids = new int[extent.total()];
    Arrays.fill(ids, maskId);
    block = extent.promptBlocks();
    boolean nothing = block >= extent.blocks();
    stage = block > 0 && !(nothing && fusedStore) ? Stage.PROMPT : nothing ? Stage.DONE : Stage.BLOCK;
  }

  @Override
  void restored(int rows) {
    super.restored(rows);
    promptStored();
  }

  @Override
  boolean causal() {
    return false;
  }

  @Override
  Remask.Rule rule() {
    return schedule.rule(drafts());
  }

  @Override
  Part part(int chunkRows, int budget) {
    if (stage == Stage.STORE) {
      return new Part(this, 0, false, 0, true);
    }
    if (stage == Stage.BLOCK) {
      return new Part(this, 0, riding, riding ? 1 : 1 + Math.min(drafts(), openDrafts), false);
    }
    return promptPart(chunkRows, budget);
  }

  /** Rows of the prompt's whole blocks. */
  @Override
  int promptBlockRows() {
    return extent().promptBlocks() * extent().blockSize();
  }

  @Override
  boolean begins(Part part) {
    return part.variants() > 0 && !begun;
  }

  @Override
  int[] begin(int given) {
    int begin = blockBegin();
    int promptRows = extent().promptRows(block);
    int[] rows = new int[extent().blockRows()];
    masked = 0;
    for (int i = 0; i < rows.length; i++) {
      // With compat a prompt row that holds the mask token is denoised like any mask: the reference compares embeddings.
      boolean fixed = i < promptRows && !(compat && promptIds[begin + i] == maskId);
      rows[i] = fixed ? -1 - given - i : maskId;
      masked += fixed ? 0 : 1;
    }
    if (guide != null) {
      masked = guide.begin(rows, promptRows, options().genLength() - (begin + promptRows - extent().prompt()));
    }
    step = 0;
    openDrafts = 0;
    begun = true;
    return rows;
  }

  @Override
  void legal(LegalTokens.Writer writer) {
    guide.legal(writer);
  }

  @Override
  boolean queued(Part part) {
    boolean promptToReport = super.queued(part);
    riding = false;
    if (part.variants() == 0) {
      if (part.store()) {
        stores++;
        nextBlock(false);
      }
      return promptToReport;
    }
    if (!readsEveryPass) {
      masked -= Math.min(masked, quota[step++]);
    }
    return readsEveryPass || blockDone() || promptToReport;
  }

  private boolean blockDone() {
    return masked == 0 || guide == null && step == quota.length;
  }

  @Override
  void read(Part part, Decided decided) {
    super.read(part, decided);
    BlockState state = decided.block();
    if (part.variants() > 0) {
      if (guide != null) {
        guide.step(decided, maskId);
      }
      if (readsEveryPass) {
        report(decided, state, step);
        step = state.step();
        masked = state.masked();
        openDrafts = state.openDrafts();
      }
      if (blockDone()) {
        if (!readsEveryPass) {
          report(decided, state, 0);
        }
        finishBlock(state);
        return;
      }
    }
    promptStored();
  }

  private void promptStored() {
    if (stage == Stage.PROMPT && cached() >= promptBlockRows()) {
      stage = block >= extent().blocks() ? Stage.DONE : Stage.BLOCK;
    }
  }

  private void report(Decided decided, BlockState state, int from) {
    if (state.sawNaN()) {
      throw decided.sawNaN("denoise forward " + state.forwards());
    }
    for (int at = from; at < state.step(); at++) {
      commits += state.committedBy(at);
      events().step(block, at, blockBegin(), state);
    }
  }

  private void finishBlock(BlockState state) {
    steps += step;
    decodedBlocks++;
    for (int i = 0; i < state.rows(); i++) {
      if (state.id(i) >= 0) {
        ids[blockBegin() + i] = state.id(i);
        probabilities[blockBegin() + i] = state.stepOf(i) < 0 ? Float.NaN : state.confidence(i);
      }
    }
    ended = hasEos() || block == extent().blocks() - 1;
    // False when the last of the S + 1 steps was needed (only with compat, where a committed mask id keeps a position open): the reference
    // then has no pass left to store the block.
    boolean stored = guide != null || step < quota.length;
    if (guide != null) {
      guide.finish();
    }
    events().blockDone(answer(), blockBegin() + extent().blockRows() - extent().prompt());
    // Storing the block that nothing follows is dead work; the reference does it all the same.
    if (stored && (ended ? compat : !fusedStore)) {
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
    for (int i = blockBegin() + extent().promptRows(block); i < blockBegin() + extent().blockRows(); i++) {
      if (ids[i] == eosId) {
        return true;
      }
    }
    return false;
  }

  @Override
  boolean done() {
    return stage == Stage.DONE;
  }

  @Override
  int blockBegin() {
    return extent().begin(block);
  }

  @Override
  int promptRows() {
    return extent().promptRows(block);
  }

  @Override
  int excluded() {
    return compat ? -1 : maskId;
  }

  /** Positions prompt length to prompt length + genLength; the mask id where nothing is written. */
  @Override
  int[] answer() {
    return Arrays.copyOfRange(ids, extent().prompt(), extent().prompt() + options().genLength());
  }

  @Override
  float[] logProbabilities() {
    float[] logs = new float[options().genLength()];
    for (int i = 0; i < logs.length; i++) {
      logs[i] = (float) Math.log(probabilities[extent().prompt() + i]);
    }
    return logs;
  }

  @Override
  String finishReason() {
    return Arrays.stream(answer()).anyMatch(id -> id == eosId) ? "eos" : events().wasCancelled() ? "cancelled" : "length";
  }

  @Override
  GenerationResult.Counts counts() {
    return new GenerationResult.Counts(decodedBlocks, prefills(), denoises(), stores, steps, commits, passRows());
  }
}
