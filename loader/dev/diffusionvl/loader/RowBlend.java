// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * Rows that are weighted sums of up to four rows of a table.
 *
 * @param index [rows, 4]
 * @param weight [rows, 4]; a term of weight 0 is absent
 */
public record RowBlend(int[] index, float[] weight) {
  /** Terms of each sum. */
  public static final int TERMS = 4;

  /** Number of resulting rows. */
  public int rows() {
    return index.length / TERMS;
  }

  /**
   * The way back: row {@code t} of the result is the sum of weight · row {@code r} over the rows {@code r} that row {@code t} of the table
   * has a weight in, in their order. A mosaic only shrinks pictures, so that no row of a picture is in more than four.
   *
   * @param tableRows rows of the table that are looked at; the newline vector may stand behind them
   * @throws IllegalStateException if one of these rows is in more than four sums
   */
  public RowBlend transposed(int tableRows) {
    int[] source = new int[tableRows * TERMS];
    float[] share = new float[source.length];
    int[] used = new int[tableRows];
    for (int i = 0; i < index.length; i++) {
      int t = index[i];
      if (weight[i] == 0 || t >= tableRows) {
        continue;
      }
      boolean again = used[t] > 0 && source[t * TERMS + used[t] - 1] == i / TERMS; // at a border
      if (!again && used[t] == TERMS) {
        throw new IllegalStateException("row " + t + " of the table is in more than " + TERMS + " sums");
      }
      int at = t * TERMS + (again ? used[t] - 1 : used[t]++);
      source[at] = i / TERMS;
      share[at] += weight[i];
    }
    return new RowBlend(source, share);
  }

  /** Fills row after row. */
  static final class Builder {
    private final int[] index;
    private final float[] weight;
    private int rows;

    Builder(int rows) {
      index = new int[Math.multiplyExact(rows, TERMS)];
      weight = new float[index.length];
    }

    /** A copy of row {@code source}. */
    void copy(int source) {
      term(0, source, 1);
      rows++;
    }

    /** A mean of four rows: {@code down} and {@code right} are the shares of the lower and the right ones. */
    void bilinear(int topLeft, int topRight, int bottomLeft, int bottomRight, double down, double right) {
      term(0, topLeft, (1 - down) * (1 - right));
      term(1, topRight, (1 - down) * right);
      term(2, bottomLeft, down * (1 - right));
      term(3, bottomRight, down * right);
      rows++;
    }

    private void term(int k, int source, double share) {
      index[rows * TERMS + k] = source;
      weight[rows * TERMS + k] = (float) share;
    }

    RowBlend build() {
      if (rows != index.length / TERMS) {
        throw new IllegalStateException(rows + " rows of " + index.length / TERMS + " filled");
      }
      return new RowBlend(index, weight);
    }
  }
}
