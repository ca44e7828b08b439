// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DeviceBuffer;

/** Where the values of a model's tensors come from, by canonical name. For one thread. */
interface WeightSource extends AutoCloseable {
  boolean contains(String name);

  /** Dimensions of a tensor. @throws dev.diffusionvl.loader.BadInputException if there is none of that name */
  long[] shape(String name);

  /**
   * Begins to fill a buffer with a tensor's values, converted to the buffer's dtype.
   *
   * @param target BF16 or F32, as many elements as the tensor has
   */
  void fill(String name, DeviceBuffer target);

  /** Returns when every buffer is filled. */
  void finish();

  @Override
  void close();
}
