// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.PackedLayout;
import dev.diffusionvl.runtime.op.WeightMatrix;
import java.util.List;

/** Where the values of a model's tensors come from, by canonical name. For one thread. */
interface WeightSource extends AutoCloseable {
  boolean contains(String name);

  /** Dimensions of a tensor. @throws dev.diffusionvl.loader.BadInputException if there is none of that name */
  long[] shape(String name);

  /**
   * Begins to fill a buffer with a tensor's values, converted to the buffer's dtype.
   *
   * @param target BF16, F16 or F32, as many elements as the tensor has
   */
  void fill(String name, DeviceBuffer target);

  /** How weights stay in fewer bits on the device. @param zeros whether zero points have to be stored */
  record Packing(PackedLayout layout, boolean zeros) {}

  /**
   * Whether some weights, stacked along out, can stay in the fewer bits that they are stored in.
   *
   * @param paired of {@link PackedLayout}
   * @return null: they become numbers of the model's dtype
   */
  default Packing packing(List<String> names, boolean paired) {
    return null;
  }

  /**
   * Begins to fill the buffers of a matrix that has a {@link #packing}.
   *
   * @param dtype of the activations, BF16 or F16: a weight that it cannot hold is refused
   */
  default void fill(List<String> names, WeightMatrix.Packed target, DType dtype) {
    throw new IllegalStateException(names + ": not quantised");
  }

  /** Returns when every buffer is filled. */
  void finish();

  @Override
  void close();
}
