// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;


import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
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
 * Slots: the sequence in order, the block behind it, the drafts behind the block.
 */
final class ForwardPasses {
  private final Stream stream;
  private final Kernels kernels;
  private final TextWeights weights;
  private final DecodeMemory memory;
  private final Transformer transformer;
  private final BlockState state;
  private final Segments segments;
  private final KvCache cache;
  private final Decision decision;
  private final DeviceBuffer quota;
  private final int speculate;
  private final int blockSize;
  private final int hidden;
  private final DeviceBuffer promptEmbeddings;
  private DeviceBuffer uniforms; // null: the counter generator draws
  private int riding; // blocks that the next pass stores on the way
  private boolean prompt; // they are the prompt's
  private int block; // index of the segment of the block alone; its drafts follow

  ForwardPasses(Stream stream, Kernels kernels, TextWeights weights, DecodeMemory memory, Decision decision, int[] quota, int speculate,
      int blockSize, DeviceBuffer promptEmbeddings) {
    this.stream = stream;
    this.kernels = kernels;
    this.weights = weights;
    this.memory = memory;
    this.transformer = memory.transformer();
    this.state = memory.state();
    this.segments = memory.segments();
    this.cache = memory.cache();
    this.decision = decision;
    this.speculate = speculate;
    this.blockSize = blockSize;
    this.promptEmbeddings = promptEmbeddings;
    this.hidden = (int) promptEmbeddings.shape()[1];
    this.quota = memory.quotas().slice(0, quota.length);
    this.quota.set(stream, quota);
    state.reset();
    cache.clear();
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
    for (int i = 0; i < riding; i++) {
      int at = i * blockSize;
      segments.add(at, blockSize, position - riding * blockSize + at, base + at, 0, base + at + blockSize, 0);
    }
    segments.add(riding * blockSize, rows, position, slot, 0, slot + rows, 0);
    block = segments.count();
    segments.add(0, rows, position, slot, 0, slot + rows, 0);
    for (int draft = 1; draft <= speculate; draft++) {
      segments.add(draft * rows, rows, position, slot + draft * rows, 0, slot, 1L << draft);
    }
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
  void drawWith(double[] numbers) {
    uniforms = memory.uniforms();
    uniforms.set(stream, numbers);
  }

  /**
   * Denoises: logits of the block's rows, predictions, commits, and drafts for the next pass. Blocks that ride along are stored first and in the
   * cache afterwards.
   *
   * @param variants the block and the drafts that are carried; 1 while blocks ride along
   * @param forward number of this denoising pass
   */
  void denoise(int variants, int forward) {
    int scoredRows = variants * state.rows();
    if (riding > 0) {
      embedRiding();
      transformer.forward(ridingAndBlock(), cache, memory.rope());
    } else {
      embed(state.idsAndDrafts(), 0, scoredRows);
      transformer.forward(Transformer.Rows.scored(segments.view(block, variants)), cache, memory.rope());
    }
    decision.launch(kernels, stream, transformer, (int) weights.head().shape()[0], uniforms, state, quota, variants, speculate, forward);
    stored();
  }

  /** Stores the riding blocks of the prompt and nothing else. */
  void prefill() {
    stream.copy(promptRows(), transformer.hidden());
    Segments blocks = segments.view(0, riding);
    transformer.forward(new Transformer.Rows(blocks, blocks, none(), none()), cache, memory.rope());
    stored();
  }

  /** Stores the block itself: its K and V are computed from its final tokens. */
  void store() {
    embed(state.idsAndDrafts(), 0, state.rows());
    Segments alone = segments.view(block, 1);
    transformer.forward(new Transformer.Rows(alone, none(), alone, none()), cache, memory.rope());
    cache.commit(state.rows());
  }

  private void stored() {
    cache.commit(riding * blockSize);
    riding = 0;
  }

  private void embedRiding() {
    if (prompt) {
      stream.copy(promptRows(), transformer.hidden());
      embed(state.idsAndDrafts(), riding * blockSize, state.rows());
    } else {
      embed(state.finishedAndIds(), 0, 2 * state.rows());
    }
  }

  private Transformer.Rows ridingAndBlock() {
    int written = prompt ? riding : 0;
    return new Transformer.Rows(segments.view(0, riding + 1), segments.view(0, written), segments.view(written, riding + 1 - written),
        segments.view(riding, 1));
  }

  private Segments none() {
    return segments.view(0, 0);
  }

  private DeviceBuffer promptRows() {
    return promptEmbeddings.slice(0, (long) riding * blockSize, hidden);
  }

  private void embed(DeviceBuffer ids, int firstRow, int rows) {
    kernels.gatherRows().launch(stream, weights.embedding(), ids, memory.given(), transformer.hidden().slice((long) firstRow * hidden, rows,
        hidden), rows, hidden, (int) weights.embedding().shape()[0]);
  }
}
