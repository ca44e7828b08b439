// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** Sums a buffer and writes next to nothing: how fast device memory can be read. Sums are in f32 and reproducible. */
public final class ReadSum extends Op {
  private static final int THREADS = 256;

  public ReadSum(Device device) {
    super(device, "read_sum");
  }

  /**
   * @param x BF16, F16 or F32, read as a whole
   * @param partial F32 [blocks]: one partial sum a block; its size is the grid, 2048 fill any GPU
   */
  public void launch(Stream stream, DeviceBuffer x, DeviceBuffer partial) {
    checkFloat("x", x);
    check("x", x, x.dtype(), x.elements());
    check("partial", partial, DType.F32, 1);
    stream.launch(instance(x.dtype()), Math.toIntExact(partial.elements()), 1, 1, THREADS, 0)
        .ptr(x).ptr(partial).u64(x.elements()).go();
  }
}
