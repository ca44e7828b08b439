// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** Gradient of the activations of {@link BiasActivation}. */
public final class ActivationBackward extends Op {
  private static final int THREADS = 256;
  private static final int EACH = 4;

  public ActivationBackward(Device device) {
    super(device, "activation_backward", TRAINED);
  }

  /**
   * @param x BF16 or F32 [elements], what went into the activation, the bias added
   * @param dy dtype of x [elements]
   * @param dx dtype of x [elements]; may be dy
   * @param activation {@link BiasActivation#GELU_ERF} or {@link BiasActivation#GELU_TANH}
   */
  public void launch(Stream stream, DeviceBuffer x, DeviceBuffer dy, DeviceBuffer dx, long elements, int activation) {
    require(elements >= 0 && elements <= (long) Integer.MAX_VALUE * THREADS, "elements", elements);
    require(activation == BiasActivation.GELU_ERF || activation == BiasActivation.GELU_TANH, "activation", activation);
    checkFloat("x", x);
    check("x", x, x.dtype(), elements);
    check("gradient of the output", dy, x.dtype(), elements);
    check("gradient of the input", dx, x.dtype(), elements);
    int blocks = Math.toIntExact((elements + THREADS * EACH - 1) / (THREADS * EACH));
    stream.launch(instance(x.dtype()), blocks, 1, 1, THREADS, 0)
        .ptr(x).ptr(dy).ptr(dx).i64(elements).i32(activation).go();
  }
}
