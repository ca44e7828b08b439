// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples.lowlevel;

import static dev.diffusionvl.runtime.DType.F32;

import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Heads;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.Rope;
import dev.diffusionvl.runtime.op.Segments;
import java.util.Arrays;

/**
 * K and V of two rows, rotated to positions 5 and 6, written straight into slots 5 and 6 of a KV cache of 8. K is (1, 0, …) and the
 * rotation turns dimension 0 against dimension half, so the cache then holds the cosine of the position's angle.
 */
public final class KvAppend {
  private static final int DIM = 128;
  private static final int SLOTS = 8;
  private static final int ROWS = 2;
  private static final int POSITION = 5;

  private KvAppend() {}

  /** @param arguments none */
  public static void main(String[] arguments) {
    float[] qkv = new float[ROWS * 3 * DIM]; // [rows, q then k then v], one head each
    float[] cos = new float[SLOTS * DIM / 2];
    float[] sin = new float[SLOTS * DIM / 2];
    for (int row = 0; row < ROWS; row++) {
      qkv[row * 3 * DIM + DIM] = 1; // k
      Arrays.fill(qkv, row * 3 * DIM + 2 * DIM, (row + 1) * 3 * DIM, 10 + row); // v
    }
    for (int i = 0; i < cos.length; i++) {
      cos[i] = (float) Math.cos(i / (DIM / 2)); // one radian a position, in every dimension
      sin[i] = (float) Math.sin(i / (DIM / 2));
    }
    try (Device device = Device.open(DeviceSpec.AUTO); Stream stream = device.newStream();
        DeviceBuffer dQkv = device.allocate("qkv", F32, ROWS, 3 * DIM); DeviceBuffer dCos = device.allocate("cos", F32, SLOTS, DIM / 2);
        DeviceBuffer dSin = device.allocate("sin", F32, SLOTS, DIM / 2); DeviceBuffer q = device.allocate("q", F32, ROWS, 1, DIM);
        DeviceBuffer k = device.allocate("k cache", F32, 1, SLOTS, DIM); DeviceBuffer v = device.allocate("v cache", F32, 1, SLOTS, DIM);
        Segments segments = new Segments(device, 1)) {
      dQkv.set(stream, qkv);
      dCos.set(stream, cos);
      dSin.set(stream, sin);
      stream.fill(k, 0);
      stream.fill(v, 0);
      segments.add(0, ROWS, POSITION, POSITION, 0, POSITION, Segments.Own.SELF);
      segments.upload(stream);
      new Kernels(device).ropeKvAppend.launch(stream, dQkv, null, new Rope(dCos, dSin), segments, q,
          new KeyValues(k, v, new Heads(1, 1, DIM), SLOTS));
      for (int slot = POSITION - 1; slot < SLOTS; slot++) {
        System.out.printf("slot %d: k %.3f, v %.0f%n", slot, k.slice((long) slot * DIM, 1).getFloats(stream)[0],
            v.slice((long) slot * DIM, 1).getFloats(stream)[0]);
      }
    }
  }
}
