// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.QuantizedMatrix;
import dev.diffusionvl.runtime.op.PackedLayout;
import dev.diffusionvl.runtime.op.WeightForm;
import java.util.Arrays;
import java.util.List;

/**
 * Quantised matrices stacked along out, in the order in which our own products want them.
 *
 * @param parts of the same bits, columns and groups
 */
record PackedStack(List<QuantizedMatrix> parts, PackedLayout layout) {
  private static final int NO_ZERO = 8; // of int4, where no zero points are stored

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

  /** The codes of some tiles, as they lie on the device. */
  byte[] codes(int firstTile, int tiles) {
    byte[] all = new byte[Math.toIntExact(tiles * layout.tileBytes())];
    int[] places = layout.placesInUnit();
    byte[] row = new byte[layout.in()];
    int unitBytes = layout.form().unitBytes();
    boolean nibbles = layout.form() == WeightForm.INT4;
    for (int tile = 0; tile < tiles; tile++) {
      for (int place = 0; place < PackedLayout.TILE; place++) {
        int at = layout.rowAt(firstTile + tile, place);
        if (at < 0) {
          continue;
        }
        read(at, row);
        int from = Math.toIntExact(tile * layout.tileBytes());
        for (int column = 0; column < row.length; column++) {
          int bit = places[place * PackedLayout.CHUNK + column % PackedLayout.CHUNK];
          int index = from + column / PackedLayout.CHUNK * unitBytes + bit / 8;
          all[index] |= (byte) (nibbles ? row[column] << bit % 8 : row[column]);
        }
      }
    }
    return all;
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
