// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import java.util.List;

/**
 * A conversation as the model is trained on it (docs/model.md, "Training objective"). Both objectives learn from the same row: block
 * diffusion predicts a label at its own row, the autoregressive objective at the row before.
 *
 * <p>The example's arrays are not copied: nobody may change them.
 *
 * @param id of the record, see {@link ConversationRecord#id}
 * @param example L token ids and labels, L being a multiple of the block size; only part of the last image's rows may be there
 * @param images in order, without those that lie wholly beyond the greatest length
 * @param cutRows rows that the conversation had beyond the greatest length
 */
public record TrainingRow(String id, Example example, List<ImageRows> images, int cutRows) {
  /**
   * Where an image stands.
   *
   * @param firstRow of the image in the example
   * @param rows that are there, from the image's first on; less than the image's where the conversation was cut
   */
  public record ImageRows(PreparedImage image, int firstRow, int rows) {}

  public TrainingRow {
    images = List.copyOf(images);
  }
}
