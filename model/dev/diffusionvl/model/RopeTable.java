// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Rope;

/**
 * cos and sin of rotary angles, f32 [rows][pairs]. Made on the host: the device's accurate sincos for large angles needs local
 * memory, and a table is read once per row.
 */
public final class RopeTable implements AutoCloseable {
  private final Rope buffers;
  private final DeviceScope owned;

  private RopeTable(Device device, Stream stream, float[] angles, int rows, int pairs) {
    try (DeviceScope scope = new DeviceScope(device)) {
      DeviceBuffer cos = scope.allocate("rotary cos", DType.F32, rows, pairs);
      DeviceBuffer sin = scope.allocate("rotary sin", DType.F32, rows, pairs);
      float[] values = new float[angles.length];
      for (int i = 0; i < angles.length; i++) {
        values[i] = (float) Math.cos(angles[i]);
      }
      cos.set(stream, values);
      for (int i = 0; i < angles.length; i++) {
        values[i] = (float) Math.sin(angles[i]);
      }
      sin.set(stream, values);
      buffers = new Rope(cos, sin);
      owned = scope.keep();
    }
  }

  /** Positions 0, 1, … with inv[j] = θ^(−2j/headDim); angles in f32 as the reference computes them. */
  public static RopeTable text(Device device, Stream stream, int positions, int headDim, double theta) {
    int pairs = headDim / 2;
    float[] inverse = inverseFrequencies(pairs, theta);
    float[] angles = new float[Math.multiplyExact(positions, pairs)];
    for (int p = 0; p < positions; p++) {
      for (int j = 0; j < pairs; j++) {
        angles[p * pairs + j] = p * inverse[j];
      }
    }
    return new RopeTable(device, stream, angles, positions, pairs);
  }

  /**
   * Patches at (y, x): the first half of the pairs turn with y, the second with x; θ = 10000 over headDim/2 (docs/model.md,
   * "Qwen vision tower").
   */
  public static RopeTable vision(Device device, Stream stream, int[] y, int[] x, int headDim) {
    int pairs = headDim / 2;
    int half = pairs / 2;
    float[] inverse = inverseFrequencies(half, 10000);
    float[] angles = new float[y.length * pairs];
    for (int r = 0; r < y.length; r++) {
      for (int j = 0; j < half; j++) {
        angles[r * pairs + j] = y[r] * inverse[j];
        angles[r * pairs + half + j] = x[r] * inverse[j];
      }
    }
    return new RopeTable(device, stream, angles, y.length, pairs);
  }

  private static float[] inverseFrequencies(int n, double theta) {
    float[] inverse = new float[n];
    for (int j = 0; j < n; j++) {
      inverse[j] = (float) Math.pow(theta, -(double) j / n);
    }
    return inverse;
  }

  /** The tables. */
  public Rope buffers() {
    return buffers;
  }

  @Override
  public void close() {
    owned.close();
  }
}
