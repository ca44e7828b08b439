// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Rope;
import java.util.List;

/**
 * cos and sin of rotary angles, f32 [rows][pairs]. Made on the host: the device's accurate sincos for large angles needs local
 * memory, and a table is read once per row.
 */
public final class RopeTable implements AutoCloseable {
  private final Rope buffers;
  private final DeviceScope owned;
  private final int pairs;

  private RopeTable(Device device, Stream stream, float[] angles, int rows, int pairs) {
    this.pairs = pairs;
    try (DeviceScope scope = new DeviceScope(device)) {
      buffers = new Rope(scope.allocate("rotary cos", DType.F32, rows, pairs), scope.allocate("rotary sin", DType.F32, rows, pairs));
      set(stream, 0, angles);
      owned = scope.keep();
    }
  }

  private void set(Stream stream, int row, float[] angles) {
    float[] values = new float[angles.length];
    for (int i = 0; i < angles.length; i++) {
      values[i] = (float) Math.cos(angles[i]);
    }
    slice(buffers.cos(), row, angles.length).set(stream, values);
    for (int i = 0; i < angles.length; i++) {
      values[i] = (float) Math.sin(angles[i]);
    }
    slice(buffers.sin(), row, angles.length).set(stream, values);
  }

  private DeviceBuffer slice(DeviceBuffer table, int row, int values) {
    return table.slice((long) row * pairs, values);
  }

  /** Rows whose angles are still to be given, by {@link #place}. */
  static RopeTable open(Device device, Stream stream, int rows, int headDim) {
    return new RopeTable(device, stream, new float[Math.multiplyExact(rows, headDim / 2)], rows, headDim / 2);
  }

  /**
   * Gives rows their angles from {@code row} on, by three positions each; waits.
   *
   * @param section pairs that turn with the first, second and third position
   */
  void place(Stream stream, int row, MropePositions positions, List<Integer> section, double theta) {
    float[] inverse = inverseFrequencies(pairs, theta);
    float[] angles = new float[Math.multiplyExact(positions.axes()[0].length, pairs)];
    for (int i = 0; i < positions.axes()[0].length; i++) {
      int j = 0;
      for (int axis = 0; axis < 3; axis++) {
        for (int end = j + section.get(axis); j < end; j++) {
          angles[i * pairs + j] = positions.axes()[axis][i] * inverse[j];
        }
      }
    }
    set(stream, row, angles);
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
