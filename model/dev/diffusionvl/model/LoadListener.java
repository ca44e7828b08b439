// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

/** Hears how far the weights of a model are loaded. */
@FunctionalInterface
public interface LoadListener {
  LoadListener NONE = (bytes, total) -> {};

  /**
   * Called by the loading thread, first with 0 bytes and last with all of them.
   *
   * @param bytes read from the checkpoint so far
   * @param total bytes that there are to read
   */
  void onProgress(long bytes, long total);
}
