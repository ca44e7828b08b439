// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

/**
 * A record as the language model sees it: one entry per row.
 *
 * @param ids token ids; {@link #IMAGE} at the rows of images, which take the rows of the image features in order
 * @param labels the token to be learnt at the row, or {@link BlockDiffusionObjective#NO_LABEL}
 */
public record Example(int[] ids, int[] labels) {
  /** Id of a row that is filled by an image. */
  public static final int IMAGE = -200;

  public Example {
    if (ids.length != labels.length) {
      throw new IllegalArgumentException("an example of " + ids.length + " ids and " + labels.length + " labels");
    }
  }

  public int length() {
    return ids.length;
  }

  /** Rows with a label, at least 1: what the example's loss is divided by. */
  int labelled(int from) {
    int count = 0;
    for (int i = from; i < labels.length; i++) {
      count += labels[i] != BlockDiffusionObjective.NO_LABEL ? 1 : 0;
    }
    return Math.max(1, count);
  }

  /** Rows of images. */
  public int imageRows() {
    int count = 0;
    for (int id : ids) {
      count += id == IMAGE ? 1 : 0;
    }
    return count;
  }

  /** Per row the number of the image row, counted from {@code first}; −1 for tokens. */
  int[] features(int first) {
    int[] features = new int[ids.length];
    int next = first;
    for (int i = 0; i < ids.length; i++) {
      features[i] = ids[i] == IMAGE ? next++ : -1;
    }
    return features;
  }
}
