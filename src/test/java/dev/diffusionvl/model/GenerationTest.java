// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

class GenerationTest {
  /** Whoever waits for an answer finds it counted: nothing is there for others before the count has ended, for failures too. */
  @Test
  void isCountedBeforeAnybodyHears() {
    List<Boolean> doneWhenCounted = new ArrayList<>();
    AtomicReference<Generation> counted = new AtomicReference<>();
    IllegalStateException failure = new IllegalStateException("failed");
    counted.set(new Generation(null, result -> {
      assertNull(result);
      doneWhenCounted.add(counted.get().isDone() || counted.get().result().isDone());
    }));
    assertFalse(counted.get().isDone());
    counted.get().fail(failure);
    counted.get().fail(new IllegalStateException("once more"));
    assertEquals(List.of(false), doneWhenCounted);
    assertSame(failure, assertThrows(IllegalStateException.class, counted.get()::await));
  }
}
