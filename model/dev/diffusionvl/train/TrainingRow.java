// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import java.util.List;

/**
 * A conversation as the model is trained on it (spec 8). The same row serves both objectives: block diffusion predicts the label of a row
 * at that row; the autoregressive objective, under a causal mask, at the row before.
 *
 * <p>The arrays are not copied: nobody may change them.
 *
 * @param id of the record, see {@link ConversationRecord#id}
 * @param tokenIds [L] token ids, {@link dev.diffusionvl.loader.ChatPrompt#IMAGE} for each row of an image; L is a multiple of the block size
 * @param labels [L] the id to be learnt, or {@link #NO_LABEL}
 * @param images in order, without those that lie wholly beyond the greatest length
 * @param cutRows rows that the conversation had beyond the greatest length
 */
public record TrainingRow(String id, int[] tokenIds, int[] labels, List<ImageRows> images, int cutRows) {
  /** The label of a row that teaches nothing. */
  public static final int NO_LABEL = -100;

  /**
   * Where an image stands.
   *
   * @param firstRow of the image in the training row
   * @param rows that are there, less than the image's where the row was cut
   */
  public record ImageRows(PreparedImage image, int firstRow, int rows) {}

  public TrainingRow {
    images = List.copyOf(images);
  }

  /** L, in rows. */
  public int length() {
    return tokenIds.length;
  }

  /** Rows with a label; what the loss is divided by. */
  public int labelled() {
    int count = 0;
    for (int label : labels) {
      count += label == NO_LABEL ? 0 : 1;
    }
    return count;
  }
}
