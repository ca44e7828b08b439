// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples.lowlevel;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Heads;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.Segments;
import java.util.SplittableRandom;

/**
 * Block-masked attention on random data: row i sees row j where ⌊j/8⌋ ≤ ⌊i/8⌋. The values of block b are the number b, so an output
 * says how far back a row looked.
 */
public final class BlockMaskedAttention {
  private static final int BLOCK = 8;
  private static final int BLOCKS = 3;
  private static final int ROWS = BLOCK * BLOCKS;
  private static final int DIM = 128;

  private BlockMaskedAttention() {}

  /** @param arguments none */
  public static void main(String[] arguments) {
    SplittableRandom random = new SplittableRandom(1);
    float[] q = new float[ROWS * DIM]; // [rows, heads, dim], one head
    float[] k = new float[ROWS * DIM]; // [heads, slots, dim]
    float[] v = new float[ROWS * DIM];
    for (int i = 0; i < q.length; i++) {
      q[i] = (float) random.nextGaussian();
      k[i] = (float) random.nextGaussian();
      v[i] = i / (BLOCK * DIM);
    }
    try (Device device = Device.open(DeviceSpec.AUTO); Stream stream = device.newStream();
        DeviceBuffer dq = device.allocate("q", DType.BF16, ROWS, 1, DIM); DeviceBuffer dk = device.allocate("k", DType.BF16, 1, ROWS, DIM);
        DeviceBuffer dv = device.allocate("v", DType.BF16, 1, ROWS, DIM); DeviceBuffer out = device.allocate("out", DType.BF16, ROWS, DIM);
        Segments segments = new Segments(device, BLOCKS)) {
      dq.set(stream, q);
      dk.set(stream, k);
      dv.set(stream, v);
      for (int b = 0; b < BLOCKS; b++) { // a segment is a block of rows; it sees what stands before it, and itself
        segments.add(b * BLOCK, BLOCK, b * BLOCK, b * BLOCK, 0, b * BLOCK, Segments.Own.SELF);
      }
      segments.upload(stream);
      new Kernels(device).attention.launch(stream, dq, new KeyValues(dk, dv, new Heads(1, 1, DIM), ROWS), segments, out,
          (float) (1 / Math.sqrt(DIM)));
      float[] result = out.getFloats(stream);
      for (int b = 0; b < BLOCKS; b++) {
        System.out.printf("first row of block %d: mean block seen %.2f%n", b, result[b * BLOCK * DIM]);
      }
    }
  }
}
