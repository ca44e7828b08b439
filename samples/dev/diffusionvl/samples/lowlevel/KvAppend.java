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

  /** @param arguments none */
  public static void main(String[] arguments) {
    float[] qkv = new float[ROWS * 3 * DIM]; // [rows, q then k then v], one head each
    float[] cos = new float[SLOTS * DIM / 2];
    float[] sin = new float[SLOTS * DIM / 2];
    for (int row = 0; row < ROWS; row++) {
      qkv[row * 3 * DIM + DIM] = 1; // k
      Arrays.fill(qkv, row * 3 * DIM + 2 * DIM, (row + 1) * 3 * DIM, 10 + row); // v
    }
    for (int i = 0; i < cos.length; i++) { // one radian per position, in every dimension
      cos[i] = (float) Math.cos(i / (DIM / 2));
      sin[i] = (float) Math.sin(i / (DIM / 2));
    }
    try (Device device = Device.open(DeviceSpec.AUTO); Stream stream = device.newStream();
        DeviceBuffer dQkv = filled(device, stream, qkv); DeviceBuffer dCos = filled(device, stream, cos);
        DeviceBuffer dSin = filled(device, stream, sin); DeviceBuffer q = filled(device, stream, new float[ROWS * DIM]);
        DeviceBuffer k = filled(device, stream, new float[SLOTS * DIM]); DeviceBuffer v = filled(device, stream, new float[SLOTS * DIM]);
        Segments segments = new Segments(device, 1)) {
      segments.add(0, ROWS, POSITION, POSITION, 0, POSITION, Segments.Own.SELF);
      segments.upload(stream);
      KeyValues cache = new KeyValues(k, v, new Heads(1, 1, DIM), SLOTS);
      new Kernels(device).ropeKvAppend.launch(stream, dQkv, null, new Rope(dCos, dSin), segments, q, cache);
      for (int slot = POSITION - 1; slot < SLOTS; slot++) {
        System.out.printf("slot %d: k %.3f, v %.0f%n", slot, k.getFloats(stream)[slot * DIM], v.getFloats(stream)[slot * DIM]);
      }
    }
  }

  private static DeviceBuffer filled(Device device, Stream stream, float[] values) {
    DeviceBuffer buffer = device.allocate("values", DType.F32, values.length);
    buffer.set(stream, values);
    return buffer;
  }
}
