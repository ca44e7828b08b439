// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;


import dev.diffusionvl.loader.ModelFamily;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.Segments;
import java.util.Arrays;

/**
 * Block-diffusion decoding of one prompt (spec 7): prefill whole prompt blocks, then write the rest block by block, each from all
 * masks to none in a few denoising steps that commit the most confident positions.
 */
final class BlockDiffusion implements AutoCloseable {
  private final GenerationOptions options;
  private final Prompt prompt;
  private final Extent extent;
  private final int blockSize;
  private final ModelFamily family;
  private final int maskId;
  private final int eosId;
  private final int total; // rows of prompt and answer, rounded up to whole blocks
  private final int blocks;
  private final Stream stream;
  private final Kernels kernels;
  private final Transformer transformer;
  private final TextWeights weights;
  private final KvCache cache;
  private final RopeTable rope;
  private final Segments segments;
  private final BlockState state;
  private final DeviceBuffer uniforms;
  private final int[] ids;
  private int prefills;
  private int denoises;
  private int stores;
  private int decodedBlocks;
  private double prefillMillis;

  /** What the loop needs of a prompt: embeddings [length or more, H] and, per row, the token id or −1 for an image row. */
  record Prompt(DeviceBuffer embeddings, int[] ids) {
    int length() {
      return ids.length;
    }
  }

  /** Sizes of a run; known before any memory is allocated. */
  record Extent(int blockSize, int blocks, int total) {
    /** The full-diffusion ablation: prompt and answer are one block. */
    boolean full() {
      return total <= blockSize;
    }

    static Extent of(int promptLength, int genLength, int blockSize) {
      long length = (long) promptLength + genLength;
      if (blockSize >= length) {
        return new Extent(blockSize, 1, (int) length); // full diffusion: one block over everything
      }
      int blocks = Math.toIntExact((length + blockSize - 1) / blockSize);
      return new Extent(blockSize, blocks, Math.multiplyExact(blocks, blockSize));
    }

    int prefillRows(int promptLength) {
      return promptLength / blockSize * blockSize;
    }

    /** Rows of the largest decoded block. */
    int blockRows() {
      return Math.min(blockSize, total);
    }

    /** Rows of the largest pass. */
    int passRows(int promptLength) {
      return Math.max(1, Math.max(prefillRows(promptLength), blockRows()));
    }
  }

  BlockDiffusion(Device device, GenerationOptions options, Prompt prompt, Extent extent, ModelFamily family, int maskId, int eosId,
      Stream stream, Kernels kernels, Transformer transformer, TextWeights weights, KvCache cache, RopeTable rope) {
    this.options = options;
    this.prompt = prompt;
    this.extent = extent;
    this.blockSize = extent.blockSize();
    this.family = family;
    this.blocks = extent.blocks();
    this.total = extent.total();
    this.maskId = maskId;
    this.eosId = eosId;
    this.stream = stream;
    this.kernels = kernels;
    this.transformer = transformer;
    this.weights = weights;
    this.cache = cache;
    this.rope = rope;
    this.segments = new Segments(device, Math.max(1, prompt.length() / blockSize));
    this.state = new BlockState(device, Math.max(1, extent.blockRows()));
    this.uniforms = options.uniforms() == null ? null : device.allocate("uniforms", DType.F64, Math.max(1, extent.blockRows()));
    this.ids = new int[total];
    Arrays.fill(ids, maskId);
  }

  /** Runs the generation until its end, or until it is cancelled. */
  void run(GenerationEvents events) {
    long start = System.nanoTime();
    if (events.cancelled()) {
      return;
    }
    prefill();
    stream.synchronize();
    prefillMillis = (System.nanoTime() - start) / 1e6;
    events.promptRead(prompt.length() / blockSize * blockSize);

    // In the full-diffusion ablation the two reference files spread different numbers over the steps (spec 7, fact 10).
    int[] quota = TransferSchedule.of(extent.full() && family == ModelFamily.QWEN ? options.genLength() : blockSize, options.steps());
    for (int b = prompt.length() / blockSize; b < blocks; b++) {
      int begin = b * blockSize;
      int rows = Math.min(blockSize, total - begin);
      boolean finished = denoiseBlock(b, begin, rows, quota, events);
      if (events.wasCancelled()) {
        return;
      }
      decodedBlocks++;
      boolean stop = begin + rows > prompt.length() && hasEos(begin, rows);
      // Storing the block that nothing follows is dead work; the reference does it all the same.
      boolean last = stop || b == blocks - 1;
      if (finished && (options.compat() || !last)) {
        store(begin, rows);
      }
      events.blockDone(answer(), begin + rows - prompt.length());
      if (stop) {
        return;
      }
    }
  }

  /** Whole blocks of the prompt in one pass, block-causal: block i sees blocks 0 to i. */
  private void prefill() {
    int rows = prompt.length() / blockSize * blockSize;
    if (rows == 0) {
      return;
    }
    segments.clear();
    for (int begin = 0; begin < rows; begin += blockSize) {
      segments.add(begin, blockSize, begin, begin, 0, begin + blockSize, 0);
    }
    segments.upload(stream);
    stream.copy(prompt.embeddings().slice(0, rows, prompt.embeddings().shape()[1]), transformer.hidden());
    transformer.forward(rows, segments, cache, rope);
    cache.commit(rows);
    prefills++;
  }

  /**
   * Denoises one block. False when the last of the S + 1 passes went into denoising (only with compat): the reference then has no pass
   * left to store the block.
   */
  private boolean denoiseBlock(int block, int begin, int rows, int[] quota, GenerationEvents events) {
    int promptRows = Math.clamp(prompt.length() - begin, 0, rows);
    state.begin(stream, rows, promptRows, promptMasks(begin, promptRows), maskId);
    state.read(stream);
    int masked = 0;
    for (int i = 0; i < rows; i++) {
      masked += state.maskedAt(i) ? 1 : 0;
    }
    // S + 1 quotas: the last is used only where a committed mask id kept a position open (compat).
    int step = 0;
    for (; step < quota.length && masked > 0; step++) {
      if (events.cancelled()) {
        return false;
      }
      forward(begin, rows);
      transformer.computeLogits(rows);
      chooseTokens(rows);
      remask(rows, quota[step]);
      masked = state.maskedCount();
      events.step(block, step, begin, rows, state);
    }
    for (int i = 0; i < rows; i++) {
      if (state.idAt(i) >= 0) { // not a prompt row
        ids[begin + i] = state.idAt(i);
      }
    }
    return step < quota.length;
  }

  /** With --compat a prompt row that holds the mask token is denoised like any mask: the reference compares embeddings. */
  private boolean[] promptMasks(int begin, int promptRows) {
    if (!options.compat() || promptRows == 0) {
      return null;
    }
    boolean[] masks = new boolean[promptRows];
    for (int i = 0; i < promptRows; i++) {
      masks[i] = prompt.ids()[begin + i] == maskId;
    }
    return masks;
  }

  /** The block's rows see the committed cache and each other; K and V go to the slots behind the cache, which stays as long as it is. */
  private void forward(int begin, int rows) {
    int slot = cache.length();
    segments.clear();
    segments.add(0, rows, begin, slot, 0, slot, 1);
    segments.upload(stream);
    long hidden = prompt.embeddings().shape()[1];
    int promptRows = Math.clamp(prompt.length() - begin, 0, rows);
    DeviceBuffer given = promptRows == 0 ? null : prompt.embeddings().slice(begin * hidden, rows, hidden);
    kernels.gatherRows().launch(stream, weights.embedding(), state.ids(), given, transformer.hidden(), rows, (int) hidden,
        (int) weights.embedding().shape()[0]);
    transformer.forward(rows, segments, cache, rope);
  }

  private void chooseTokens(int rows) {
    int excluded = options.compat() ? -1 : maskId;
    int vocab = (int) weights.head().shape()[0];
    if (options.temperature() == 0) {
      kernels.confidence().launch(stream, transformer.logits(), state.token(), state.probability(), state.rowMax(),
          state.rowSumExp(), rows, vocab, excluded);
    } else {
      if (uniforms != null) {
        uniforms.set(stream, uniformsOf(denoises, rows));
      }
      kernels.sample().launch(stream, transformer.logits(), uniforms, state.token(), state.probability(), rows, vocab, excluded,
          options.temperature(), options.topK(), options.topP(), family == ModelFamily.QWEN, options.seed(), denoises);
    }
    denoises++;
  }

  private double[] uniformsOf(int forward, int rows) {
    if (forward >= options.uniforms().size() || options.uniforms().get(forward).length < rows) {
      throw new IllegalArgumentException("uniforms: denoise forward %d needs %d numbers, the file has %d forwards%s".formatted(forward,
          rows, options.uniforms().size(), forward < options.uniforms().size()
              ? " and " + options.uniforms().get(forward).length + " numbers in this one" : ""));
    }
    return Arrays.copyOf(options.uniforms().get(forward), rows);
  }

  private void remask(int rows, int quota) {
    boolean dynamic = options.remasking() == GenerationOptions.Remasking.LOW_CONFIDENCE_DYNAMIC;
    kernels.remask().launch(stream, state.token(), state.probability(), state.ids(), state.masked(), state.committed(),
        state.status(), rows, quota, dynamic, options.confidenceThreshold(), maskId);
    state.read(stream);
    if (state.sawNaN()) {
      throw new NumericalException("the model's logits hold NaN (denoise forward " + (denoises - 1) + "): broken weights?");
    }
  }

  private boolean hasEos(int begin, int rows) {
    for (int i = Math.max(begin, prompt.length()); i < begin + rows; i++) {
      if (ids[i] == eosId) {
        return true;
      }
    }
    return false;
  }

  /** The pass that leaves the K and V of the final tokens in the block's slots; committing it is advancing the length. */
  private void store(int begin, int rows) {
    forward(begin, rows);
    cache.commit(rows);
    stores++;
  }

  /** The ids of the answer so far: positions prompt length to prompt length + genLength. */
  int[] answer() {
    return Arrays.copyOfRange(ids, prompt.length(), prompt.length() + options.genLength());
  }

  GenerationResult.Counts counts() {
    return new GenerationResult.Counts(decodedBlocks, prefills, denoises, stores);
  }

  double prefillMillis() {
    return prefillMillis;
  }

  @Override
  public void close() {
    segments.close();
    state.close();
    if (uniforms != null) {
      uniforms.close();
    }
  }
}
