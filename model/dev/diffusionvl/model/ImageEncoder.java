// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.List;

/**
 * From images to rows of embeddings, by the vision tower of one checkpoint family. Works on its session's stream, for one thread at a
 * time.
 */
public interface ImageEncoder extends AutoCloseable {
  /** An image resized and cut as the tower takes it. Nothing of it is on the device yet. */
  interface Input {
    /** Embeddings that the image takes in the prompt. */
    int rows();

    /** Of these, how many stand side by side in the image, line by line; all of them where they have no such order. */
    default int columns() {
      return rows();
    }

    /**
     * Runs the tower and waits for it.
     *
     * @param target receives the embeddings [rows, H]
     */
    void encode(DeviceBuffer target);
  }

  /**
   * Prepares the images of one prompt; work of the host alone.
   *
   * @throws dev.diffusionvl.loader.BadInputException naming the image by its number, counted from 1, if its shape is impossible
   */
  List<Input> prepare(List<RgbImage> images);

  /** Releases what the encoder keeps between images. Idempotent. */
  @Override
  void close();
}
