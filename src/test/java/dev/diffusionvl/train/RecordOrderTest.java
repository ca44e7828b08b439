// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RecordOrderTest {
  private static RecordIndex index(int size, int oneTextIn) {
    Random random = new Random(3);
    RecordIndex index = new RecordIndex();
    for (int i = 0; i < size; i++) {
      index.add(1000L * i, 1 + random.nextInt(500), oneTextIn == 0 || i % oneTextIn != 0);
    }
    return index;
  }

  /** Text-only records: none, some, all. */
  @ParameterizedTest
  @CsvSource({"1000, 0, 8", "1000, 5, 8", "1000, 1, 8", "1001, 5, 16", "7, 3, 8", "1, 0, 1", "70000, 7, 256", "12, 2, 1",
    "100, 2, 1000000000"})
  void groupsAreOfOneModalityAndLongestFirst(int size, int oneTextIn, int group) {
    RecordIndex index = index(size, oneTextIn);
    int[] order = RecordOrder.of(index, group, 5, 0);
    assertArrayEquals(IntStream.range(0, size).toArray(), Arrays.stream(order).sorted().toArray());
    int pictured = (int) IntStream.range(0, size).filter(index::hasImage).count();
    int whole = pictured / group * group + (size - pictured) / group * group;
    for (int first = 0; first < size; first += first < whole ? group : size - whole) {
      int last = first < whole ? first + group : size;
      for (int i = first + 1; i < last; i++) {
        assertTrue(index.length(order[i]) <= index.length(order[i - 1]));
        assertTrue(first >= whole || index.hasImage(order[i]) == index.hasImage(order[first]));
      }
    }
  }

  @Test
  void seedAndEpochDecide() {
    RecordIndex index = index(1000, 5);
    int[] order = RecordOrder.of(index, 8, 5, 1);
    assertArrayEquals(order, RecordOrder.of(index(1000, 5), 8, 5, 1));
    for (int[] other : new int[][] {RecordOrder.of(index, 8, 5, 0), RecordOrder.of(index, 8, 6, 1), RecordOrder.of(index, 16, 5, 1)}) {
      assertFalse(Arrays.equals(order, other));
    }
  }

  /** Both kinds are spread over the epoch, and each record over the epochs. */
  @Test
  void groupsAreShuffled() {
    RecordIndex index = index(8000, 2);
    int[] order = RecordOrder.of(index, 8, 5, 0);
    long picturedInFirstHalf = IntStream.range(0, 4000).filter(i -> index.hasImage(order[i])).count();
    assertEquals(2000, picturedInFirstHalf, 300);
    double mean = IntStream.range(0, 200).map(epoch -> place(RecordOrder.of(index, 8, 5, epoch), 17)).average().orElseThrow();
    assertEquals(4000, mean, 600);
  }

  private static int place(int[] order, int record) {
    return IntStream.range(0, order.length).filter(i -> order[i] == record).findFirst().orElseThrow();
  }
}
