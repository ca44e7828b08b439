// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Ranges do not overlap, stay inside, and come back whole. */
class RangeAllocatorTest {
  @Test
  void theLowestFreeRangeThatIsLongEnough() {
    RangeAllocator ranges = new RangeAllocator(10);
    assertEquals(0, ranges.take(3));
    assertEquals(3, ranges.take(3));
    assertEquals(6, ranges.take(4));
    assertEquals(-1, ranges.take(1));
    ranges.give(3, 3);
    ranges.give(0, 3);
    assertTrue(ranges.fits(6));
    assertFalse(ranges.fits(7));
    assertEquals(0, ranges.take(6), "neighbours were joined");
    assertEquals(10, ranges.used());
  }

  @Test
  void whatWasNotTakenIsNotTakenBack() {
    RangeAllocator ranges = new RangeAllocator(10);
    ranges.take(5);
    assertThrows(IllegalArgumentException.class, () -> ranges.give(4, 2));
    assertThrows(IllegalArgumentException.class, () -> ranges.give(5, 1));
    assertThrows(IllegalArgumentException.class, () -> ranges.give(-1, 1));
    assertThrows(IllegalArgumentException.class, () -> ranges.take(0));
    ranges.give(0, 5);
    assertThrows(IllegalArgumentException.class, () -> ranges.give(0, 5));
  }

  @Test
  void manyTakenAndGivenInAnyOrder() {
    Random random = new Random(5);
    RangeAllocator ranges = new RangeAllocator(500);
    List<int[]> taken = new ArrayList<>();
    for (int round = 0; round < 5000; round++) {
      if (random.nextBoolean()) {
        int length = 1 + random.nextInt(60);
        boolean fits = ranges.fits(length);
        int begin = ranges.take(length);
        assertEquals(fits, begin >= 0);
        if (begin >= 0) {
          assertTrue(begin + length <= 500);
          for (int[] other : taken) {
            assertTrue(begin + length <= other[0] || other[0] + other[1] <= begin, "ranges overlap");
          }
          taken.add(new int[] {begin, length});
        }
      } else if (!taken.isEmpty()) {
        int[] range = taken.remove(random.nextInt(taken.size()));
        ranges.give(range[0], range[1]);
      }
      assertEquals(taken.stream().mapToInt(r -> r[1]).sum(), ranges.used());
    }
    taken.forEach(r -> ranges.give(r[0], r[1]));
    assertEquals(0, ranges.take(500), "all of it is one range again");
  }
}
