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
