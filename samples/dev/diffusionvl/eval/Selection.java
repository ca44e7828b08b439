// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

/**
 * Which rows of a data set are asked. The shards of one data set have no row in common, and together they have all.
 *
 * @param limit rows to take, from the first on; 0: all
 * @param shard of these every {@code shards}-th row, from row number {@code shard} on, counted from 1
 */
public record Selection(long limit, int shard, int shards) {
  public static final Selection ALL = new Selection(0, 1, 1);

  public Selection {
    if (limit < 0 || shards < 1 || shard < 0 || shard > shards) {
      throw new IllegalArgumentException("limit " + limit + ", shard " + shard + "/" + shards);
    }
  }

  /** @param number of a row, from 0 */
  boolean has(long number) {
    return (number + 1) % shards == shard % shards;
  }

  boolean ends(long number) {
    return limit > 0 && number >= limit;
  }
}
