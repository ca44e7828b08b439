// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.quantize;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.train.LayerInputs.Place;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Rows that the linear layers of a language model were seen to take, in bf16. Made by {@link Calibration}. */
public final class LayerSamples {
  /** Where linear layers take their rows. */
  private record Site(int layer, Place place) {}

  private final Map<Site, List<short[]>> rows = new HashMap<>();

  LayerSamples() {}

  void add(int layer, Place place, float[] row) {
    short[] rounded = new short[row.length];
    for (int i = 0; i < row.length; i++) {
      rounded[i] = DType.toBf16(row[i]);
    }
    rows.computeIfAbsent(new Site(layer, place), site -> new ArrayList<>()).add(rounded);
  }

  /** Rows that were seen at a place; 0: none. */
  int count(int layer, Place place) {
    return rows.getOrDefault(new Site(layer, place), List.of()).size();
  }

  /** Most rows of a place. */
  public int most() {
    return rows.values().stream().mapToInt(List::size).max().orElse(0);
  }

  /** The rows one after the other: [count, in]. */
  float[] values(int layer, Place place) {
    List<short[]> all = rows.get(new Site(layer, place));
    int in = all.getFirst().length;
    float[] values = new float[Math.multiplyExact(all.size(), in)];
    for (int i = 0; i < values.length; i++) {
      values[i] = DType.fromBf16(all.get(i / in)[i % in]);
    }
    return values;
  }

  /** Mean of |x| of each input. @param values [count, in] */
  static float[] meanMagnitude(float[] values, int in) {
    return mean(values, in, false);
  }

  /** Mean of x² of each input. */
  static float[] meanSquare(float[] values, int in) {
    return mean(values, in, true);
  }

  private static float[] mean(float[] values, int in, boolean squares) {
    double[] sums = new double[in];
    for (int i = 0; i < values.length; i++) {
      sums[i % in] += squares ? (double) values[i] * values[i] : Math.abs(values[i]);
    }
    float[] means = new float[in];
    for (int i = 0; i < in; i++) {
      means[i] = (float) (sums[i] * in / values.length);
    }
    return means;
  }
}
