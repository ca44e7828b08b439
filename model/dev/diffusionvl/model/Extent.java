// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

/**
 * Sizes of a generation; known before any memory is allocated.
 *
 * @param prompt rows of the prompt, P
 * @param blockSize B
 * @param blocks blocks of prompt and answer
 * @param total rows of prompt and answer, rounded up to whole blocks
 */
record Extent(int prompt, int blockSize, int blocks, int total) {
  static Extent of(int prompt, int genLength, int blockSize) {
    long length = (long) prompt + genLength;
    if (blockSize >= length) {
      return new Extent(prompt, blockSize, 1, (int) length); // full diffusion: one block over everything
    }
    int blocks = Math.toIntExact((length + blockSize - 1) / blockSize);
    return new Extent(prompt, blockSize, blocks, Math.multiplyExact(blocks, blockSize));
  }

  /** The full-diffusion ablation: prompt and answer are one block. */
  boolean full() {
    return total <= blockSize;
  }

  /** Whole blocks of the prompt; the next one is the first to be decoded. */
  int promptBlocks() {
    return prompt / blockSize;
  }

  int begin(int block) {
    return block * blockSize;
  }

  /** Rows of a decoded block: B, or everything in full diffusion. */
  int blockRows() {
    return Math.min(blockSize, total);
  }

  /** Rows of a block that the prompt fills. */
  int promptRows(int block) {
    return Math.clamp(prompt - (long) begin(block), 0, blockRows());
  }

  /**
   * Slots of the cache that a sequence of this extent ever uses, at least 1: its rows, and drafts of a block behind them.
   *
   * @throws ArithmeticException if they are more than an int counts
   */
  int cacheRows(int drafts) {
    return Math.max(1, Math.addExact(total, Math.multiplyExact(drafts, blockRows())));
  }
}
