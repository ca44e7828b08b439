// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.RgbImage;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/**
 * What the rows of a prompt are made from: two prompts with equal beginnings of their keys have equal embeddings there, and with equal
 * block sizes equal keys and values.
 *
 * @param rows token ids; −1 − i for rows of image i
 * @param images what each image is: a digest of its pixels and of how it is prepared
 */
record PromptKey(int[] rows, List<String> images) {
  /** Of a prompt whose rows of images are −1, which has {@code imageRows} of each image. */
  static PromptKey of(int[] ids, int[] imageRows, List<RgbImage> images) {
    int[] rows = ids.clone();
    int image = 0;
    for (int row = 0; row < rows.length;) {
      if (rows[row] >= 0) {
        row++;
        continue;
      }
      for (int i = 0; i < imageRows[image]; i++) {
        rows[row++] = -1 - image;
      }
      image++;
    }
    List<String> digests = new ArrayList<>();
    for (int i = 0; i < images.size(); i++) {
      // The SigLIP family prepares a single image otherwise than several; the rest of the preparation is the model's.
      digests.add(digest(images.get(i)) + (images.size() == 1 ? " alone" : " of several"));
    }
    return new PromptKey(rows, digests);
  }

  private static String digest(RgbImage image) {
    try {
      MessageDigest sha = MessageDigest.getInstance("SHA-256");
      sha.update((image.width() + "x" + image.height() + ":").getBytes(StandardCharsets.US_ASCII));
      return HexFormat.of().formatHex(sha.digest(image.rgb()));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  /** Rows that both begin with. */
  int common(PromptKey other) {
    int length = Math.min(rows.length, other.rows.length);
    for (int i = 0; i < length; i++) {
      boolean same = rows[i] >= 0 ? rows[i] == other.rows[i]
          : other.rows[i] < 0 && images.get(-1 - rows[i]).equals(other.images.get(-1 - other.rows[i]));
      if (!same) {
        return i;
      }
    }
    return length;
  }

  /** The first row of an image. */
  int begin(int image) {
    int row = 0;
    while (rows[row] != -1 - image) {
      row++;
    }
    return row;
  }
}
