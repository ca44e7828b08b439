// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import java.util.Arrays;

/**
 * A named tensor of a model and where it lies.
 *
 * @param name canonical (docs/model.md, "Naming schemes")
 * @param shape as in the file
 * @param buffer number of the device buffer that holds it, in {@link Parameters#buffers}
 * @param offset elements before it in that buffer
 * @param layout of its elements from there on
 */
public record Parameter(String name, long[] shape, int buffer, long offset, Layout layout) {
  /** Length of the first dimension; 1 for a scalar. */
  public long rows() {
    return shape.length == 0 ? 1 : shape[0];
  }

  /** Elements at one index of the first dimension. */
  long fileRow() {
    return Arrays.stream(shape).skip(1).reduce(1, Math::multiplyExact);
  }

  /** Elements that it has. */
  public long elements() {
    return rows() * fileRow();
  }

  /** Elements that it takes on the device, zeros between them included. */
  public long storedElements() {
    return rows() * layout.storedRow(fileRow());
  }
}
