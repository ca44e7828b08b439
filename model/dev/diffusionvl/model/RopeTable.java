// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Rope;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * cos and sin of rotary angles, f32 [rows][pairs]. Made on the host: the device's accurate sincos for large angles needs local
 * memory, and a table is read once per row.
 */
public final class RopeTable implements AutoCloseable {
  private final Rope buffers;
  private final DeviceScope owned;
  private final int pairs;

  /** Cosines and sines of angles, f32 as the reference computes them. */
  record Turns(float[] cos, float[] sin) {
    private Turns(int length) {
      this(new float[length], new float[length]);
    }

    private static Turns of(float[] angles) {
      Turns turns = new Turns(angles.length);
      for (int i = 0; i < angles.length; i++) {
        turns.cos[i] = (float) Math.cos(angles[i]);
        turns.sin[i] = (float) Math.sin(angles[i]);
      }
      return turns;
    }

    /** As {@link RopeTable#vision}; coordinates are small and few, so each angle is looked up in a table of them. */
    static Turns vision(int[] y, int[] x, int headDim) {
      int half = headDim / 4;
      int coordinates = 1 + IntStream.concat(Arrays.stream(y), Arrays.stream(x)).max().orElse(0);
      Turns each = of(angles(coordinates, inverseFrequencies(half, 10000)));
      Turns turns = new Turns(Math.multiplyExact(y.length, 2 * half));
      for (int r = 0; r < y.length; r++) {
        turns.copy(2 * r * half, each, y[r] * half, half);
        turns.copy((2 * r + 1) * half, each, x[r] * half, half);
      }
      return turns;
    }

    private void copy(int at, Turns from, int begin, int count) {
      System.arraycopy(from.cos, begin, cos, at, count);
      System.arraycopy(from.sin, begin, sin, at, count);
    }
  }

  private RopeTable(Device device, Stream stream, Turns turns, int rows, int pairs) {
    this.pairs = pairs;
    try (DeviceScope scope = new DeviceScope(device)) {
      buffers = new Rope(scope.allocate("rotary cos", DType.F32, rows, pairs), scope.allocate("rotary sin", DType.F32, rows, pairs));
      set(stream, 0, turns);
      owned = scope.keep();
    }
  }

  private void set(Stream stream, int row, Turns turns) {
    slice(buffers.cos(), row, turns.cos.length).set(stream, turns.cos);
    slice(buffers.sin(), row, turns.sin.length).set(stream, turns.sin);
  }

  private DeviceBuffer slice(DeviceBuffer table, int row, int values) {
    return table.slice((long) row * pairs, values);
  }

  /** Rows whose angles are still to be given, by {@link #place}. */
  static RopeTable open(Device device, Stream stream, int rows, int headDim) {
    return new RopeTable(device, stream, Turns.of(new float[Math.multiplyExact(rows, headDim / 2)]), rows, headDim / 2);
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
    set(stream, row, Turns.of(angles));
  }

  /** Positions 0, 1, … with inv[j] = θ^(−2j/headDim); angles in f32 as the reference computes them. */
  public static RopeTable text(Device device, Stream stream, int positions, int headDim, double theta) {
    int pairs = headDim / 2;
    return new RopeTable(device, stream, Turns.of(angles(positions, inverseFrequencies(pairs, theta))), positions, pairs);
  }

  private static float[] angles(int positions, float[] inverse) {
    float[] angles = new float[Math.multiplyExact(positions, inverse.length)];
    for (int p = 0; p < positions; p++) {
      for (int j = 0; j < inverse.length; j++) {
        angles[p * inverse.length + j] = p * inverse[j];
      }
    }
    return angles;
  }

  /**
   * Patches at (y, x): the first half of the pairs turn with y, the second with x; θ = 10000 over headDim/2 (docs/model.md,
   * "Qwen vision tower").
   */
  public static RopeTable vision(Device device, Stream stream, int[] y, int[] x, int headDim) {
    return new RopeTable(device, stream, Turns.vision(y, x, headDim), y.length, headDim / 2);
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
