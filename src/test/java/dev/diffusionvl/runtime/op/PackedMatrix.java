// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import java.util.SplittableRandom;

/**
 * A matrix of few bits on the host: what its codes stand for, worked out one by one, and the same on the device.
 *
 * @param codes [out, in]
 * @param scales [out, groups]
 * @param zeros [out, groups]; null: all are 8
 */
record PackedMatrix(PackedLayout layout, int[] codes, float[] scales, int[] zeros) {
  /** Random codes, all of them possible, with scales near {@code scale}. */
  static PackedMatrix random(SplittableRandom random, PackedLayout layout, double scale, boolean zeros) {
    boolean int4 = layout.form() == WeightForm.INT4;
    int[] codes = random.ints((long) layout.out() * layout.in(), 0, int4 ? 16 : 256)
        .map(c -> !int4 && (c & 0x7f) == 0x7f ? c - 1 : c).toArray(); // no NaN
    float[] scales = new float[layout.out() * layout.groups()];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = (float) (scale * (0.5 + random.nextDouble()) * (int4 ? 1 : 1e-2));
    }
    return new PackedMatrix(layout, codes, scales, zeros ? random.ints(scales.length, 0, 17).toArray() : null);
  }

  /** The same rows in another order; a row that is −1 is zeros. */
  PackedMatrix inOrder(int[] rows) {
    PackedLayout ordered = new PackedLayout(layout.form(), rows.length, layout.in(), false, layout.shift());
    int in = layout.in();
    int groups = layout.groups();
    int[] c = new int[rows.length * in];
    float[] s = new float[rows.length * groups];
    int[] z = zeros == null ? null : new int[s.length];
    for (int i = 0; i < rows.length; i++) {
      if (rows[i] >= 0) {
        System.arraycopy(codes, rows[i] * in, c, i * in, in);
        System.arraycopy(scales, rows[i] * groups, s, i * groups, groups);
        if (z != null) {
          System.arraycopy(zeros, rows[i] * groups, z, i * groups, groups);
        }
      }
    }
    return new PackedMatrix(ordered, c, s, z);
  }

  private int group(int row, int column) {
    return row * layout.groups() + (column >> layout.shift());
  }

  /** (code − zero) · scale in float64. */
  double value(int row, int column) {
    int code = codes[row * layout.in() + column];
    double number;
    if (layout.form() == WeightForm.INT4) {
      number = code - (zeros == null ? 8 : zeros[group(row, column)]);
    } else {
      int exponent = code >> 3 & 15;
      double magnitude = exponent == 0 ? (code & 7) / 8.0 * Math.pow(2, -6) : (1 + (code & 7) / 8.0) * Math.pow(2, exponent - 7);
      number = code < 128 ? magnitude : -magnitude;
    }
    return number * scales[group(row, column)];
  }

  /** All values, each rounded to f32. */
  float[] values() {
    float[] values = new float[codes.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) value(i / layout.in(), i % layout.in());
    }
    return values;
  }

  /** On the test's device. */
  WeightMatrix.Packed on(OpTest test) {
    byte[] all = new byte[Math.toIntExact(layout.codeBytes())];
    int[] places = layout.placesInUnit();
    int unit = layout.form().unitBytes();
    for (int tile = 0; tile < layout.tiles(); tile++) {
      for (int place = 0; place < PackedLayout.TILE; place++) {
        int row = layout.rowAt(tile, place);
        for (int column = 0; row >= 0 && column < layout.in(); column++) {
          int bit = places[place * PackedLayout.CHUNK + column % PackedLayout.CHUNK];
          int at = Math.toIntExact(tile * layout.tileBytes()) + column / PackedLayout.CHUNK * unit + bit / 8;
          all[at] |= (byte) (codes[row * layout.in() + column] << bit % 8);
        }
      }
    }
    float[] scale = new float[Math.toIntExact(layout.scales())];
    byte[] zero = new byte[scale.length];
    for (int row = 0; row < layout.out(); row++) {
      for (int group = 0; group < layout.groups(); group++) {
        int at = (int) layout.scaleAt(row, group);
        scale[at] = scales[row * layout.groups() + group];
        zero[at] = (byte) (zeros == null ? 0 : zeros[row * layout.groups() + group]);
      }
    }
    return new WeightMatrix.Packed(layout, test.bytes(all), test.buffer(DType.F32, scale), zeros == null ? null : test.bytes(zero));
  }
}
