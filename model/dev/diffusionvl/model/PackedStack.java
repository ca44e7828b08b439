// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.QuantizedMatrix;
import dev.diffusionvl.runtime.op.PackedLayout;
import dev.diffusionvl.runtime.op.WeightForm;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;

/**
 * Quantised matrices stacked along out, for the layout in which our own products want them.
 *
 * @param parts of the same bits, columns and groups
 */
record PackedStack(List<QuantizedMatrix> parts, PackedLayout layout) {
  private static final int NO_ZERO = 8; // of int4, where no zero points are stored
  private static final float F16_MAX = 65504;

  /**
   * @param paired of {@link PackedLayout}
   * @return null if the matrices have no packed form: of different kinds, or with groups that our products do not take
   */
  static PackedStack of(List<QuantizedMatrix> parts, boolean paired) {
    QuantizedMatrix first = parts.getFirst();
    int columns = first.groupColumns();
    boolean all = columns == first.in();
    boolean alike = parts.stream().allMatch(part -> part.bits() == first.bits() && part.groupColumns() == columns);
    if (!alike || first.in() % 8 != 0 || !all && (columns < 32 || Integer.bitCount(columns) != 1)) {
      return null;
    }
    int out = parts.stream().mapToInt(QuantizedMatrix::out).reduce(0, Math::addExact);
    int shift = all ? PackedLayout.ONE_GROUP : Integer.numberOfTrailingZeros(columns);
    return new PackedStack(parts, new PackedLayout(first.bits() == 4 ? WeightForm.INT4 : WeightForm.FP8, out, first.in(), paired, shift));
  }

  /** Whether zero points have to be stored. */
  boolean hasZeros() {
    return layout.form() == WeightForm.INT4 && !parts.stream().allMatch(part -> part.symmetric() && part.zero(0, 0) == NO_ZERO);
  }

  /** What is done with each scale: of a row of the stack, which is {@code partRow} of {@code part}. */
  private interface Place {
    void set(int row, int group, QuantizedMatrix part, int partRow);
  }

  private void forEachScale(Place place) {
    int first = 0;
    for (QuantizedMatrix part : parts) {
      for (int row = 0; row < part.out(); row++) {
        for (int group = 0; group < layout.groups(); group++) {
          place.set(first + row, group, part, row);
        }
      }
      first += part.out();
    }
  }

  /** All scales, zeros where there is no row. */
  float[] scales() {
    float[] scales = new float[Math.toIntExact(layout.scales())];
    forEachScale((row, group, part, partRow) -> scales[(int) layout.scaleAt(row, group)] = part.scale(partRow, group));
    return scales;
  }

  /** All zero points. */
  byte[] zeros() {
    byte[] zeros = new byte[Math.toIntExact(layout.scales())];
    Arrays.fill(zeros, (byte) NO_ZERO);
    forEachScale((row, group, part, partRow) -> zeros[(int) layout.scaleAt(row, group)] = (byte) part.zero(partRow, group));
    return zeros;
  }

  /**
   * Writes codes of a tile, one byte each, in the order of its places; zeros where there is no row.
   *
   * @param target [{@link PackedLayout#TILE}, columns]
   */
  void codes(int tile, int firstColumn, int columns, MemorySegment target) {
    byte[] codes = new byte[layout.in()];
    for (int place = 0; place < PackedLayout.TILE; place++) {
      int row = layout.rowAt(tile, place);
      if (row < 0) {
        Arrays.fill(codes, (byte) 0);
      } else {
        read(row, codes);
      }
      MemorySegment.copy(codes, firstColumn, target, ValueLayout.JAVA_BYTE, (long) place * columns, columns);
    }
  }

  /**
   * Refuses weights that are not finite in float16, which many rows are multiplied in.
   *
   * @param names of the parts
   * @throws BadInputException if there is one
   */
  void requireF16(List<String> names) {
    for (int i = 0; i < parts.size(); i++) {
      QuantizedMatrix part = parts.get(i);
      String name = names.get(i);
      for (int row = 0; row < part.out(); row++) {
        if (mayExceed(part, row)) {
          float[] weights = new float[part.in()];
          part.decodeRow(row, weights);
          for (float weight : weights) {
            WeightReader.requireF16(name, weight);
          }
        }
      }
    }
  }

  /** Whether the scales of a row allow numbers beyond float16's. */
  private boolean mayExceed(QuantizedMatrix part, int row) {
    for (int group = 0; group < layout.groups(); group++) {
      if (Math.abs(part.scale(row, group)) * part.mostNumber(row, group) > F16_MAX) {
        return true;
      }
    }
    return false;
  }

  private void read(int row, byte[] codes) {
    int left = row;
    for (QuantizedMatrix part : parts) {
      if (left < part.out()) {
        part.codes(left, codes);
        return;
      }
      left -= part.out();
    }
    throw new IndexOutOfBoundsException(row);
  }
}
