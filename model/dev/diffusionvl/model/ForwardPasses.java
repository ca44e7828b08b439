// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.model.Transformer.PassParts;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.Sample;
import dev.diffusionvl.runtime.op.Segments;

/**
 * The forward passes over a block: which rows each carries, where they live and what they see. Rows are grouped in segments:
 *
 * <pre>
 *   riding blocks | block        first denoising pass, when blocks before this one are not in the cache yet (the finished block, or all of
 *                                the prompt's whole blocks); a block sees what stands before it and itself
 *   block | draft | … | draft    any other denoising pass; a draft sees the cache and itself
 *   riding blocks                prefill
 *   block                        store
 * </pre>
 *
 * Slots: the sequence in order, the block behind it, the drafts behind the block. All but the passes with the prompt are of few shapes,
 * which are captured as graphs.
 */
final class ForwardPasses {
  private final Stream stream;
  private final Kernels kernels;
  private final TextWeights weights;
  private final DecodeMemory memory;
  private final Transformer transformer;
  private final BlockState state;
  private final Segments segments; // the block and its drafts, then riding blocks and the block behind them
  private final KvCache cache;
  private final Decision decision;
  private final DeviceBuffer quota;
  private final Sample.Numbers numbers; // that tokens are drawn with
  private final int speculate;
  private final int blockSize;
  private final int hidden;
  private final boolean graphs;
  private final DeviceBuffer promptEmbeddings;
  private int riding; // blocks that the next pass stores on the way
  private boolean prompt; // they are the prompt's

  /** What passes of one shape have in common: the values that a graph is captured with. */
  private record Constants(Decision decision, int quotas, boolean uniforms, int speculate) {}

  /** Kinds of graphs; denoising passes without riding blocks are known by their number of variants. */
  private enum Shape { RIDING_BLOCK_AND_BLOCK, STORE }

  /**
   * @param quota commits of each step
   * @param uniforms whether tokens are drawn with numbers that are given
   * @param promptEmbeddings [prompt rows or more, H]
   */
  ForwardPasses(Stream stream, Kernels kernels, TextWeights weights, DecodeMemory memory, Decision decision, int[] quota, boolean uniforms,
      int speculate, int blockSize, boolean graphs, DeviceBuffer promptEmbeddings) {
    this.stream = stream;
    this.kernels = kernels;
    this.weights = weights;
    this.memory = memory;
    this.transformer = memory.transformer();
    this.state = memory.state();
    this.segments = memory.segments();
    this.cache = memory.cache();
    this.decision = decision;
    numbers = new Sample.Numbers(uniforms ? memory.uniforms() : null, decision.seed(), 0, state.forwardsBuffer());
    this.speculate = speculate;
    this.blockSize = blockSize;
    this.graphs = graphs;
    this.promptEmbeddings = promptEmbeddings;
    this.hidden = (int) promptEmbeddings.shape()[1];
    this.quota = memory.quotas().slice(0, quota.length);
    this.quota.set(stream, quota);
    state.reset();
    cache.clear();
    memory.graphs().require(new Constants(decision, quota.length, uniforms, speculate));
  }

  /**
   * Lays out the passes over the block at {@code position}.
   *
   * @param ridingBlocks blocks just before it that the first pass stores
   * @param ofPrompt they are the prompt's; otherwise the finished block
   */
  void place(int position, int ridingBlocks, boolean ofPrompt) {
    riding = ridingBlocks;
    prompt = ofPrompt;
    int rows = state.rows();
    int base = cache.length();
    int slot = base + riding * blockSize;
    segments.clear();
    segments.add(0, rows, position, slot, 0, slot, Segments.Own.SELF);
    for (int draft = 1; draft <= speculate; draft++) {
      segments.add(draft * rows, rows, position, slot + draft * rows, 0, slot, Segments.Own.SELF);
    }
    for (int i = 0; i < riding; i++) {
      int at = i * blockSize;
      segments.add(at, blockSize, position - riding * blockSize + at, base + at, 0, base + at, Segments.Own.SELF);
    }
    segments.add(riding * blockSize, rows, position, slot, 0, slot, Segments.Own.SELF);
    segments.upload(stream);
  }

  /** Gives the block's first rows the embeddings of the prompt's rows from {@code first} on. */
  void give(int first, int count) {
    int rows = state.rows();
    if (count > 0) {
      DeviceBuffer source = promptEmbeddings.slice((long) first * hidden, count, hidden);
      for (int place = 0; place < Math.max(2, 1 + speculate); place++) {
        stream.copy(source, memory.given().slice((long) place * rows * hidden, count, hidden));
      }
    }
  }

  /** Numbers that the next denoising pass draws with. */
  void drawWith(double[] uniforms) {
    numbers.uniforms().set(stream, uniforms);
  }

  /**
   * Denoises: logits of the block's rows, predictions, commits, and drafts for the next pass. Blocks that ride along are stored first and
   * in the cache afterwards.
   *
   * @param variants the block and the drafts that are carried; 1 while blocks ride along
   */
  void denoise(int variants) {
    if (riding > 0 && prompt) {
      stream.copy(promptRows(), transformer.hidden());
      embed(state.block().ids(), riding * blockSize, state.rows());
      denoise(new PassParts(ridingAndBlock(), ridingBlocks(), block(), block()), 1);
    } else if (riding > 0) {
      run(Shape.RIDING_BLOCK_AND_BLOCK, () -> {
        embed(state.finishedAndIds(), 0, 2 * state.rows());
        denoise(new PassParts(ridingAndBlock(), none(), ridingAndBlock(), block()), 1);
      });
    } else {
      run(variants, () -> {
        embed(state.block().ids(), 0, variants * state.rows());
        denoise(PassParts.scored(segments.view(0, variants)), variants);
      });
    }
    cache.commit(riding * blockSize);
    riding = 0;
  }

  private void denoise(PassParts rows, int variants) {
    transformer.forward(rows, cache, memory.rope());
    decision.launch(kernels, stream, transformer, weights.head().out(), numbers, state, quota, variants, speculate);
  }

  /** Stores the riding blocks, which are the prompt's, and nothing else. */
  void prefill() {
    stream.copy(promptRows(), transformer.hidden());
    transformer.forward(new PassParts(ridingBlocks(), ridingBlocks(), none(), none()), cache, memory.rope());
    cache.commit(riding * blockSize);
    riding = 0;
  }

  /** Stores the block itself: its K and V are computed from its final tokens. */
  void store() {
    run(Shape.STORE, () -> {
      embed(state.block().ids(), 0, state.rows());
      Segments alone = segments.view(0, 1);
      transformer.forward(new PassParts(alone, none(), alone, none()), cache, memory.rope());
    });
    cache.commit(state.rows());
  }

  private void run(Object shape, Runnable pass) {
    if (graphs) {
      memory.graphs().run(stream, shape, pass);
    } else {
      pass.run();
    }
  }

  private Segments ridingAndBlock() {
    return segments.view(1 + speculate, riding + 1);
  }

  private Segments ridingBlocks() {
    return segments.view(1 + speculate, riding);
  }

  /** The block behind the riding ones. */
  private Segments block() {
    return segments.view(1 + speculate + riding, 1);
  }

  private Segments none() {
    return segments.view(0, 0);
  }

  private DeviceBuffer promptRows() {
    return promptEmbeddings.slice(0, (long) riding * blockSize, hidden);
  }

  private void embed(DeviceBuffer ids, int firstRow, int rows) {
    transformer.embed(ids, memory.given(), firstRow, rows);
  }
}
