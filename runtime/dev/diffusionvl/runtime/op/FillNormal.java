// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** out[i] = T(mean + scale · zᵢ) with zᵢ the i-th number of a seeded standard normal stream, the same on every device. */
public final class FillNormal extends Op {
  private static final int THREADS = 256;
  private static final int EACH = 8;

  public FillNormal(Device device) {
    super(device, "fill_normal");
  }

  /**
   * Fills all of a buffer.
   *
   * @param out BF16, F16 or F32
   * @param seed of the stream; element i is a function of (seed, i) alone
   */
  public void launch(Stream stream, DeviceBuffer out, float mean, float scale, long seed) {
    checkFloat("out", out);
    long n = out.elements();
    check("out", out, out.dtype(), n);
    long blocks = (n + (long) THREADS * EACH - 1) / ((long) THREADS * EACH);
    stream.launch(instance(out.dtype()), Math.toIntExact(blocks), 1, 1, THREADS, 0)
        .ptr(out).u64(n).f32(mean).f32(scale).u64(seed).go();
  }
}
