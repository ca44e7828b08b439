// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.Stream;
import java.util.Arrays;

/**
 * Block-diffusion decoding of one prompt (docs/model.md, "Block-diffusion generation"):
 *
 * <pre>
 *   unstored = the prompt's whole blocks
 *   for each block from the first one that the prompt does not fill:
 *     block = masks, behind what is left of the prompt
 *     until no mask is left:
 *       pass over the unstored blocks and the block, or over the block and its drafts
 *       commit the most confident masks; unstored = none
 *     unstored = the block
 *     stop at the end-of-text token
 * </pre>
 *
 * "Storing" is leaving a block's final keys and values in the cache. Without fused store it takes passes of its own.
 */
final class BlockDiffusion {
  private static final int MAX_SCORED_ROWS = 512; // with drafts; beyond, rows cost more than passes, and logits are large

  private final GenerationOptions options;
  private final boolean fusedStore;
  private final int speculate;
  private final Extent extent;
  private final int[] promptIds;
  private final int maskId;
  private final int eosId;
  private final Stream stream;
  private final BlockState state;
  private final ForwardPasses passes;
  private final int[] quota;
  private final int[] ids; // of prompt and answer; the mask id where nothing is written
  private boolean readsEveryPass;
  private int prefills;
  private int denoises;
  private int stores;
  private int decodedBlocks;
  private int steps;
  private int commits;
  private double prefillMillis;

  /**
   * @param promptIds per row of the prompt its token id, or −1 for an image row
   * @param quota commits of each step; as many steps as a block may take
   */
  BlockDiffusion(GenerationOptions options, Extent extent, int[] promptIds, int maskId, int eosId, int[] quota, Stream stream,
      BlockState state, ForwardPasses passes) {
    this.options = options;
    this.fusedStore = options.execution().fusedStore();
    this.speculate = drafts(options, extent);
    this.extent = extent;
    this.promptIds = promptIds;
    this.maskId = maskId;
    this.eosId = eosId;
    this.quota = quota;
    this.stream = stream;
    this.state = state;
    this.passes = passes;
    this.ids = new int[extent.total()];
    Arrays.fill(ids, maskId);
  }

  /** Drafts that a pass may carry: none where tokens are drawn, since a draft cannot foresee a draw; few where blocks are large. */
  static int drafts(GenerationOptions options, Extent extent) {
    int fit = Math.max(0, MAX_SCORED_ROWS / Math.max(1, extent.blockRows()) - 1);
    return options.temperature() > 0 ? 0 : Math.min(fit, options.execution().speculate());
  }

  /** Tokens are drawn, and with numbers that are given. */
  static boolean drawsWithGivenNumbers(GenerationOptions options) {
    return options.temperature() > 0 && options.uniforms() != null;
  }

  /** Runs the generation until its end, or until it is cancelled. */
  void run(GenerationEvents events) {
    // A static schedule says how many steps a block takes; all else shows only in what was committed.
    readsEveryPass = events.live() || speculate > 0 || options.compat()
        || options.remasking() == GenerationOptions.Remasking.LOW_CONFIDENCE_DYNAMIC;
    int unstored = fusedStore ? extent.promptBlocks() : prefill(events); // blocks whose keys and values ride with the next pass
    for (int block = extent.promptBlocks(); block < extent.blocks(); block++) {
      begin(block, unstored);
      boolean finished = denoise(block, events);
      if (events.wasCancelled()) {
        return;
      }
      decodedBlocks++;
      keep(block);
      boolean stop = hasEos(block);
      boolean last = stop || block == extent.blocks() - 1;
      unstored = finished ? 1 : 0;
      // Storing the block that nothing follows is dead work; the reference does it all the same.
      if (finished && (last ? options.compat() : !fusedStore)) {
        unstored = store();
      }
      events.blockDone(answer(), extent.begin(block) + extent.blockRows() - extent.prompt());
      if (stop) {
        return;
      }
    }
  }

  /** All masks, but for the rows that the prompt fills. */
  private void begin(int block, int unstored) {
    int begin = extent.begin(block);
    int promptRows = extent.promptRows(block);
    int[] rows = new int[extent.blockRows()];
    for (int i = 0; i < rows.length; i++) {
      // With compat a prompt row that holds the mask token is denoised like any mask: the reference compares embeddings.
      boolean given = i < promptRows && !(options.compat() && promptIds[begin + i] == maskId);
      rows[i] = given ? BlockState.GIVEN : maskId;
    }
    state.begin(stream, rows, maskId);
    passes.give(begin, promptRows);
    passes.place(begin, unstored, block == extent.promptBlocks());
  }

  /**
   * Denoising passes until no mask is left. False when the last of the S + 1 steps was needed (only with compat, where a committed mask id
   * keeps a position open): the reference then has no pass left to store the block.
   */
  private boolean denoise(int block, GenerationEvents events) {
    int masked = state.masked();
    int step = 0;
    while (masked > 0 && step < quota.length) {
      if (events.cancelled()) {
        return false;
      }
      pass(1 + Math.min(speculate, state.drafts()), events);
      if (readsEveryPass) {
        read(block, step, events);
        masked = state.masked();
        step = state.step();
      } else {
        masked -= Math.min(masked, quota[step++]);
      }
    }
    if (!readsEveryPass) {
      read(block, 0, events);
    }
    steps += step;
    return step < quota.length;
  }

  private void pass(int variants, GenerationEvents events) {
    if (drawsWithGivenNumbers(options)) {
      passes.drawWith(uniformsOf(denoises, state.rows()));
    }
    long start = System.nanoTime();
    passes.denoise(variants);
    if (denoises++ == 0 && fusedStore && extent.promptBlocks() > 0) {
      stream.synchronize();
      prefillMillis = (System.nanoTime() - start) / 1e6;
      events.promptRead(extent.promptBlocks() * extent.blockSize());
    }
  }

  private double[] uniformsOf(int forward, int rows) {
    if (forward >= options.uniforms().size() || options.uniforms().get(forward).length < rows) {
      throw new IllegalArgumentException("uniforms: denoise forward %d needs %d numbers, the file has %d forwards%s".formatted(forward,
          rows, options.uniforms().size(), forward < options.uniforms().size()
              ? " and " + options.uniforms().get(forward).length + " numbers in this one" : ""));
    }
    return Arrays.copyOf(options.uniforms().get(forward), rows);
  }

  /** Reads what the passes did and reports it step by step from step {@code from} on. */
  private void read(int block, int from, GenerationEvents events) {
    state.read(stream);
    if (state.sawNaN()) {
      throw new NumericalException("the model's logits hold NaN (denoise forward " + state.forwards() + "): broken weights?");
    }
    for (int step = from; step < state.step(); step++) {
      commits += state.committedBy(step);
      events.step(block, step, extent.begin(block), state);
    }
  }

  /** The block's tokens are final. */
  private void keep(int block) {
    for (int i = 0; i < state.rows(); i++) {
      if (state.id(i) != BlockState.GIVEN) {
        ids[extent.begin(block) + i] = state.id(i);
      }
    }
  }

  private boolean hasEos(int block) {
    int begin = extent.begin(block);
    for (int i = begin + extent.promptRows(block); i < begin + extent.blockRows(); i++) {
      if (ids[i] == eosId) {
        return true;
      }
    }
    return false;
  }

  /** Stores the prompt's whole blocks in a pass of their own. Returns the blocks that are still not stored. */
  private int prefill(GenerationEvents events) {
    if (extent.promptBlocks() > 0 && !events.cancelled()) {
      long start = System.nanoTime();
      passes.place(extent.promptBlocks() * extent.blockSize(), extent.promptBlocks(), true);
      passes.prefill();
      prefills++;
      stream.synchronize();
      prefillMillis = (System.nanoTime() - start) / 1e6;
      events.promptRead(extent.promptBlocks() * extent.blockSize());
    }
    return 0;
  }

  /** Stores the block in a pass of its own, likewise. */
  private int store() {
    passes.store();
    stores++;
    return 0;
  }

  /** The ids of the answer so far: positions prompt length to prompt length + genLength. */
  int[] answer() {
    return Arrays.copyOfRange(ids, extent.prompt(), extent.prompt() + options.genLength());
  }

  GenerationResult.Counts counts() {
    return new GenerationResult.Counts(decodedBlocks, prefills, denoises, stores, steps, commits);
  }

  /** Until the pass that carries the prompt was done: with fused store it is the first denoising pass as well. */
  double prefillMillis() {
    return prefillMillis;
  }
}
