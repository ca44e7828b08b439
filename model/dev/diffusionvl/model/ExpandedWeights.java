// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * Packed weights as numbers, one layer at a time, for products by cuBLAS. Takes scratch memory for the largest packed matrix, none where
 * all are dense. For the work of one stream.
 */
public final class ExpandedWeights implements AutoCloseable {
  private final DeviceScope owned;
  private final Stream stream;
  private final Kernels kernels;
  private final DeviceBuffer scratch; // null where all weights are dense
  private final Map<Linear, Linear.Dense> views = new IdentityHashMap<>(); // how the scratch memory is seen for each packed layer

  /**
   * @param weights live at least as long
   * @param dtype BF16 or F16 where weights are packed
   */
  public ExpandedWeights(Stream stream, Kernels kernels, TextWeights weights, DType dtype) {
    this.stream = stream;
    this.kernels = kernels;
    List<Linear> packed = weights.linears().filter(linear -> linear instanceof Linear.Packed).toList();
    long most = elements(weights);
    try (DeviceScope scope = new DeviceScope(stream.device())) {
      scratch = most == 0 ? null : scope.allocate("expanded weights", dtype, most);
      packed.forEach(linear -> views.put(linear, new Linear.Dense(scratch.slice(0, linear.out(), linear.in()), linear.bias())));
      owned = scope.keep();
    }
  }

  /** Elements of the scratch memory: of the largest packed matrix; 0 where all are dense. */
  static long elements(TextWeights weights) {
    return weights.linears().filter(linear -> linear instanceof Linear.Packed).mapToLong(linear -> (long) linear.out() * linear.in()).max()
        .orElse(0);
  }

  /** The layer with weights as numbers; where they were packed, it is good until the next call. */
  public Linear.Dense dense(Linear linear) {
    if (linear instanceof Linear.Packed packed) {
      kernels.expandWeights.launch(stream, packed.matrix(), scratch);
      return views.get(packed);
    }
    return linear.dense();
  }

  @Override
  public void close() {
    owned.close();
  }
}
