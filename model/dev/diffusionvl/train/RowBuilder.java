// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.train.TrainingRow.ImageRows;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** A row that grows up to a greatest length; what comes later is counted only. */
final class RowBuilder {
  private final List<PreparedImage> images;
  private final int maxLength;
  private final List<ImageRows> placed = new ArrayList<>();
  private int[] ids = new int[256];
  private int[] labels = new int[256];
  private int length;
  private int cut;
  private int nextImage;

  /** @param images in the order in which they will be added */
  RowBuilder(List<PreparedImage> images, int maxLength) {
    this.images = images;
    this.maxLength = maxLength;
  }

  int kept() {
    return length;
  }

  int cut() {
    return cut;
  }

  void add(int id, int label) {
    if (length == maxLength) {
      cut++;
    } else {
      append(id, label);
    }
  }

  void addImage() {
    PreparedImage image = images.get(nextImage++);
    int rows = Math.min(image.rows(), maxLength - length);
    if (rows > 0) {
      placed.add(new ImageRows(image, length, rows));
    }
    for (int i = 0; i < image.rows(); i++) {
      add(Example.IMAGE, BlockDiffusionObjective.NO_LABEL);
    }
  }

  private void append(int id, int label) {
    if (length == ids.length) {
      ids = Arrays.copyOf(ids, 2 * length);
      labels = Arrays.copyOf(labels, 2 * length);
    }
    ids[length] = id;
    labels[length++] = label;
  }

  /** The row, filled up to whole blocks with labelled {@code eosTokenId}. */
  TrainingRow build(String id, int blockSize, int eosTokenId) {
    while (length % blockSize != 0) {
      append(eosTokenId, eosTokenId);
    }
    return new TrainingRow(id, new Example(Arrays.copyOf(ids, length), Arrays.copyOf(labels, length)), placed, cut);
  }
}
