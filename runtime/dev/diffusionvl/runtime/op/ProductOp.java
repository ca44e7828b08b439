// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.KernelFunction;

/**
 * What launchers of elementwise kernels behind a matrix product share. The product comes as F32 accumulators, to which a bias may be
 * added, or rounded to the dtype of the model already ({@code name_bf16_bf16}, {@code name_f16_f16}).
 */
abstract class ProductOp extends Op {
  private final Instances rounded;

  ProductOp(Device device, String name) {
    super(device, name);
    rounded = new Instances(device, name, HALVES, dtype -> name + "_" + dtype.suffix() + "_" + dtype.suffix());
  }

  /** The instance for such a product and a result of {@code dtype}. */
  final KernelFunction instance(DeviceBuffer product, DType dtype) {
    return product.dtype() == DType.F32 ? instance(dtype) : rounded.of(dtype);
  }

  /** Checks the product; a rounded one takes no bias. */
  final void checkProduct(String argument, DeviceBuffer product, DeviceBuffer bias, DType dtype, long elements) {
    boolean isRounded = product != null && product.dtype() == dtype && dtype != DType.F32;
    check(argument, product, isRounded ? dtype : DType.F32, elements);
    if (isRounded && bias != null) {
      throw refused("bias", bias, "has to be added before " + argument + " is rounded to " + dtype);
    }
  }
}
