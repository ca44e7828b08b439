// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.StreamDecoder;
import java.util.function.IntPredicate;

/**
 * A provisional view of the block that is being denoised. Tokens in it stay, masks are still to be filled, and none of its text has
 * been given to {@link GenerationListener#onText} yet. Immutable.
 */
public final class BlockPreview {
  private final int block;
  private final int step;
  private final int position;
  private final int[] tokenIds;
  private final int maskId;
  private final IntPredicate ends;
  private final StreamDecoder before;

  /** @param before the decoder of the final text in front of this block, with what it holds of an unfinished character; not advanced */
  BlockPreview(int block, int step, int position, int[] tokenIds, int maskId, IntPredicate ends, StreamDecoder before) {
    this.block = block;
    this.step = step;
    this.position = position;
    this.tokenIds = tokenIds;
    this.maskId = maskId;
    this.ends = ends;
    this.before = before;
  }

  /** Absolute block number, ⌊position / B⌋. */
  public int block() {
    return block;
  }

  /** The step within the block, from 0, after which the block looks like this. */
  public int step() {
    return step;
  }

  /** Absolute position of the first token; rows of the prompt and rows beyond the answer's length are left out. */
  public int position() {
    return position;
  }

  /** Ids of the block's part of the answer, the mask id where nothing is committed yet; a copy. */
  public int[] tokenIds() {
    return tokenIds.clone();
  }

  /** Positions still to be filled. */
  public int masks() {
    int masks = 0;
    for (int id : tokenIds) {
      masks += id == maskId ? 1 : 0;
    }
    return masks;
  }

  /**
   * The block's text up to the first end-of-text token.
   *
   * @param mask stands for each position still to be filled; a character cut by one is shown as U+FFFD
   */
  public String text(String mask) {
    StreamDecoder decoder = before.copy();
    StringBuilder text = new StringBuilder();
    for (int id : tokenIds) {
      if (ends.test(id)) {
        break;
      }
      text.append(id == maskId ? decoder.finish() + mask : decoder.accept(id));
    }
    return text.append(decoder.finish()).toString();
  }
}
