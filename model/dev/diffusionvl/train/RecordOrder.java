// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * The order in which an epoch takes the records: grouped by modality and length, as the reference's sampler does. Records with an image and
 * those without are shuffled apart from each other and cut into groups of one optimiser step; within a group the longest record comes
 * first; the groups of both kinds are shuffled together. What does not fill a group comes last.
 *
 * <p>So a step has records of one kind, and a step that needs too much memory shows early. Lengths are estimated by the bytes of a record's
 * text, as the reference estimates them by words; images are not opened, since those of one kind of model take much the same number of rows
 * each. The order is a function of seed, epoch, group size and file alone: {@link Random} is one algorithm in every Java.
 */
final class RecordOrder {
  private final RecordIndex index;
  private final int group;
  private final Random random;

  private RecordOrder(RecordIndex index, int group, Random random) {
    this.index = index;
    this.group = group;
    this.random = random;
  }

  /**
   * All records' numbers, from 0, in the order of an epoch.
   *
   * @param group records of one optimiser step, at least 1
   */
  static int[] of(RecordIndex index, int group, long seed, int epoch) {
    return new RecordOrder(index, group, new Random(mix(seed + epoch * 0x9e3779b97f4a7c15L))).order();
  }

  /** Neighbouring seeds must not give similar orders, which Random alone does not see to. The finaliser of SplitMix64. */
  private static long mix(long value) {
    long z = (value ^ value >>> 30) * 0xbf58476d1ce4e5b9L;
    z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
    return z ^ z >>> 31;
  }

  private int[] order() {
    int size = index.size();
    int[] records = new int[size]; // those with an image in front, the others behind
    int pictured = 0;
    int textual = size;
    for (int record = 0; record < size; record++) {
      records[index.hasImage(record) ? pictured++ : --textual] = record;
    }
    shuffle(records, 0, pictured);
    shuffle(records, pictured, size);

    int picturedEnd = pictured - pictured % group;
    int textualEnd = size - (size - pictured) % group;
    int[] groups = IntStream.concat(IntStream.iterate(0, at -> at < picturedEnd, at -> at + group),
        IntStream.iterate(pictured, at -> at < textualEnd, at -> at + group)).toArray();
    shuffle(groups, 0, groups.length);
    int[] order = new int[size];
    int filled = 0;
    for (int first : groups) {
      System.arraycopy(records, first, order, filled, group);
      sortLongestFirst(order, filled, filled + group);
      filled += group;
    }
    System.arraycopy(records, picturedEnd, order, filled, pictured - picturedEnd);
    System.arraycopy(records, textualEnd, order, filled + pictured - picturedEnd, size - textualEnd);
    sortLongestFirst(order, filled, size);
    return order;
  }

  private void shuffle(int[] values, int from, int to) {
    for (int i = to - 1; i > from; i--) {
      int other = from + random.nextInt(i - from + 1);
      int value = values[i];
      values[i] = values[other];
      values[other] = value;
    }
  }

  /** Records of one length stay in their order. */
  private void sortLongestFirst(int[] records, int from, int to) {
    int[] before = Arrays.copyOfRange(records, from, to);
    long[] keys = new long[before.length];
    for (int i = 0; i < keys.length; i++) {
      keys[i] = (long) (Integer.MAX_VALUE - index.length(before[i])) << Integer.SIZE | i;
    }
    Arrays.sort(keys);
    for (int i = 0; i < keys.length; i++) {
      records[from + i] = before[(int) keys[i]];
    }
  }
}
