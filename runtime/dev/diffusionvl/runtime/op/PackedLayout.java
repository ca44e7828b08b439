// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

/**
 * Where the weights of a packed matrix lie ({@code cuda/include/skinny_weights.cuh}, "Order"): unit by unit, all chunks of a tile one after
 * the other; in a unit as the threads of a block multiply them. What lies behind out or in is zero.
 *
 * @param form FP8 or INT4
 * @param out rows
 * @param in columns
 * @param paired the halves of the rows are used in pairs (gate and up): a tile has 64 of each
 * @param shift 2^shift columns have one scale: 5 or more, 30 for all columns
 */
public record PackedLayout(WeightForm form, int out, int in, boolean paired, int shift) {
  /** Rows of a unit. */
  public static final int TILE = SkinnySplit.TILE;
  /** Columns of a unit. */
  public static final int CHUNK = SkinnySplit.CHUNK;
  private static final int THREADS = 256;
  /** All columns have one scale. */
  public static final int ONE_GROUP = 30;

  public PackedLayout {
    if (form == WeightForm.DENSE || out < 1 || in < 1 || in % 8 != 0 || paired && out % 2 != 0 || shift < 5 || shift > ONE_GROUP) {
      throw new IllegalArgumentException("packed weights: %s [%d, %d]%s, groups of 2^%d columns; allowed are columns in eights and groups "
          .formatted(form, out, in, paired ? " in pairs" : "", shift) + "of 32 or more");
    }
  }

  /** Tiles of {@link #TILE} rows. */
  public int tiles() {
    return paired ? Op.blocks(out / 2, TILE / 2) : Op.blocks(out, TILE);
  }

  int chunks() {
    return Op.blocks(in, CHUNK);
  }

  /** Columns with a scale of their own. */
  public int groups() {
    return (in - 1 >> shift) + 1;
  }

  /** Bytes of the codes of a tile. */
  public long tileBytes() {
    return (long) chunks() * form.unitBytes();
  }

  /** Bytes of all codes. */
  public long codeBytes() {
    return tiles() * tileBytes();
  }

  /** Scales, and zero points where there are some. */
  public long scales() {
    return (long) groups() * tiles() * TILE;
  }

  /** Where the scale of a row and a group of columns is. */
  public long scaleAt(int row, int group) {
    return ((long) group * tiles() + tileOf(row)) * TILE + placeOf(row);
  }

  /** The row in a place of a tile, or −1: there is none. */
  public int rowAt(int tile, int place) {
    if (!paired) {
      int row = tile * TILE + place;
      return row < out ? row : -1;
    }
    int row = tile * (TILE / 2) + place % (TILE / 2);
    return row < out / 2 ? row + place / (TILE / 2) * (out / 2) : -1;
  }

  /** Where in a unit the code of [place, column] is, [{@link #TILE} · {@link #CHUNK}]: its first bit, from the first byte's lowest on. */
  public int[] placesInUnit() {
    int[] places = new int[TILE * CHUNK];
    for (int i = 0; i < places.length; i++) {
      places[i] = bitOf(i / CHUNK, i % CHUNK);
    }
    return places;
  }

  private int bitOf(int place, int k) {
    int register = place % 16 / 8 + k % 16 / 8 * 2;
    int thread = place / 16 * 32 + place % 8 * 4 + k % 8 / 2;
    int pair = k % 2;
    int word = k / 16 * THREADS + thread;
    return switch (form) {
      case INT4 -> word * 32 + 4 * register + 16 * pair;
      case FP8 -> (word * 2 + register / 2) * 32 + 8 * (2 * pair + 1 - register % 2);
      case DENSE -> throw new IllegalStateException();
    };
  }

  private int tileOf(int row) {
    return paired ? row % (out / 2) / (TILE / 2) : row / TILE;
  }

  private int placeOf(int row) {
    return paired ? row % (out / 2) % (TILE / 2) + row / (out / 2) * (TILE / 2) : row % TILE;
  }
}
