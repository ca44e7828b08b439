// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.KernelFunction;
import java.util.List;
import java.util.function.Function;

/** A kernel's instances by dtype, each loaded on first use. A dtype without an instance is refused by name. */
final class Instances {
  private final Device device;
  private final String file;
  private final String[] names = new String[DType.values().length]; // null: no such instance
  private final KernelFunction[] loaded = new KernelFunction[names.length];

  /**
   * Functions {@code stem_bf16}, {@code stem_f32}, …
   *
   * @param file in cuda/
   */
  Instances(Device device, String file, String stem, List<DType> dtypes) {
    this(device, file, dtypes, dtype -> stem + "_" + dtype.suffix());
  }

  /** @param function name of a dtype's function */
  Instances(Device device, String file, List<DType> dtypes, Function<DType, String> function) {
    this.device = device;
    this.file = file;
    for (DType dtype : dtypes) {
      names[dtype.ordinal()] = function.apply(dtype);
    }
  }

  /** Two threads that meet here load the same function: the device keeps one of each. */
  KernelFunction of(DType dtype) {
    int at = dtype.ordinal();
    if (loaded[at] == null) {
      if (names[at] == null) {
        throw new IllegalArgumentException(file + ": there is no kernel for " + dtype);
      }
      loaded[at] = device.kernel(file, names[at]);
    }
    return loaded[at];
  }
}
