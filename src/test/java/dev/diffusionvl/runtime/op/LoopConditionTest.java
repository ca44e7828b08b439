// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Graph;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** loop_condition: what ends a loop, and what it has counted. The body moves a list of counts on by one place. */
class LoopConditionTest extends OpTest {
  private void loop(int expected, int limit, int... counts) {
    DeviceBuffer list = ints(counts);
    DeviceBuffer copy = own(device.allocate("copy", DType.I32, counts.length));
    DeviceBuffer iterations = ints(-77, -77);
    Runnable body = () -> {
      stream.copy(list, copy);
      stream.copy(copy.slice(1, counts.length - 1), list.slice(0, counts.length - 1));
    };
    try (Graph graph = Graph.captureLoop(stream, list.slice(0, 1), iterations.slice(0, 1), limit, body)) {
      for (int launch = 0; launch < 2; launch++) { // the count of a launch is its own
        list.set(stream, counts);
        graph.launch(stream);
        String what = "counts " + Arrays.toString(counts) + ", limit " + limit + ", launch " + launch;
        assertEquals(expected, iterations.getInts(stream)[0], what);
        assertEquals(-77, iterations.getInts(stream)[1], what);
        assertEquals(counts[expected], list.getInts(stream)[0], what);
      }
    } catch (UnsupportedOperationException e) {
      abort(e.getMessage());
    }
  }

  @Test
  void endsAtZeroAndBelow() {
    loop(4, 100, 9, 3, 2, 1, 0, 7);
    loop(1, 100, 9, 0, 5, 5);
    loop(2, 100, 9, 1, -1, 7, 7);
    loop(1, 100, 0, 0, 7);
    loop(1, 100, 9, Integer.MIN_VALUE, 7);
    loop(2, 100, 9, Integer.MAX_VALUE, 0, 7);
  }

  @Test
  void endsAtTheLimit() {
    int[] ones = {1, 1, 1, 1, 1, 1, 1, 1};
    for (int limit = 1; limit < ones.length; limit++) {
      loop(limit, limit, ones);
    }
    loop(3, 3, 9, 2, 1, 0, 7); // both at once
  }
}
