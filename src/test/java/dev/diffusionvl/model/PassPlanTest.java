// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.model.PassPlan.Group;
import dev.diffusionvl.model.PassPlan.Part;
import dev.diffusionvl.model.PassPlan.Rows;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What passes carry, on the host alone: blocks of 4 rows, ids of a slot from 100 · slot on. */
class PassPlanTest {
  private static final int ROWS = 4;
  private static final int MASK = 9;
  private static final PassPlan.Places PLACES = new PassPlan.Places(ROWS, slot -> 100 * slot);
  private static final PassPlan.Padding PADDING = new PassPlan.Padding(7, 900);

  /** A sequence of 10 prompt rows and 8 tokens: blocks at 8, 12 and 16. */
  private static Sequence sequence(int slot, float temperature) {
    GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(8).withSteps(2).withSampling(temperature, 0, 1);
    GenerationEvents events = new GenerationEvents(GenerationListener.NONE, null, 10, 8, MASK, id -> id == 3);
    Sequence sequence = new BlockSequence(options, Extent.of(10, 8, ROWS),
        new Schedule(ROWS, 2, GenerationOptions.Remasking.LOW_CONFIDENCE_STATIC, 0), new int[10], MASK, 3, 0, null, events);
    sequence.place(slot, 50 * slot, 0);
    return sequence;
  }

  /** Takes a sequence as far as its first block, with its prompt in the cache. */
  private static Sequence decoding(int slot, float temperature) {
    Sequence sequence = sequence(slot, temperature);
    sequence.restored(8);
    return sequence;
  }

  @Test
  void thePromptAndTheFirstBlock() {
    Sequence sequence = sequence(1, 0);
    PassPlan plan = PassPlan.of(List.of(sequence.part(1000, 1000)), PLACES, PADDING);
    assertEquals(List.of(new Rows(4, 0, 50, 50, 50), new Rows(4, 4, 54, 50, 54), new Rows(4, 8, 58, 50, 58)), plan.segments());
    assertEquals(2, plan.promptSegments());
    assertEquals(8, plan.promptRows());
    assertEquals(0, plan.stored());
    assertEquals(List.of(new Group(false, false, false, false, false, MASK, 1, 1)), plan.groups());
    assertArrayEquals(new int[] {104, 105, 106, 107}, plan.pick(), "the finished block's ids come first");
    assertArrayEquals(new int[] {1, 0, 1, 0}, plan.tasks());
    assertEquals(12, plan.rows());
  }

  @Test
  void chunksOfAPromptWaitForTheirTurn() {
    Sequence sequence = sequence(0, 0);
    Part chunk = sequence.part(4, 4);
    assertEquals(4, chunk.promptRows());
    assertEquals(0, chunk.variants(), "there is more of the prompt to come");
    assertEquals(null, sequence.part(4, 3));
    assertTrue(sequence.queued(chunk), "prompts are waited for");
    Part last = sequence.part(4, 4);
    assertEquals(1, last.variants());
    PassPlan plan = PassPlan.of(List.of(last), PLACES, null);
    assertEquals(List.of(new Rows(4, 4, 4, 0, 4), new Rows(4, 8, 8, 0, 8)), plan.segments());
    assertEquals(4, plan.prompts().getFirst().from());
  }

  /** Greedy ones first; one sequence's rows see nothing of another's. */
  @Test
  void sequencesShareAPass() {
    List<Part> parts = List.of(decoding(0, 0).part(64, 64), decoding(1, 1).part(64, 64), decoding(2, 0).part(64, 64));
    PassPlan plan = PassPlan.of(parts, PLACES, null);
    assertEquals(List.of(new Rows(4, 8, 8, 0, 8), new Rows(4, 8, 108, 100, 108), new Rows(4, 8, 58, 50, 58)), plan.segments());
    assertEquals(List.of(new Group(false, false, false, false, false, MASK, 2, 2), new Group(false, false, false, false, true, -1, 1, 1)),
        plan.groups());
    assertArrayEquals(new int[] {0, 0, 1, 0, 2, 4, 1, 0, 1, 8, 1, 0}, plan.tasks());
    assertArrayEquals(new int[] {4, 5, 6, 7, 204, 205, 206, 207, 104, 105, 106, 107}, plan.pick());
  }

  /** Passes of a bucket have one shape; what fills them up decides nothing and is seen by nobody. */
  @Test
  void passesAreFilledUpToFewShapes() {
    List<Part> three = List.of(decoding(0, 0).part(64, 64), decoding(1, 0).part(64, 64), decoding(2, 0).part(64, 64));
    PassPlan plan = PassPlan.of(three, PLACES, PADDING);
    assertEquals(List.of(new Group(false, false, false, false, false, MASK, 4, 4)), plan.groups());
    assertEquals(new Rows(4, 0, 900, 900, 900), plan.segments().getLast());
    assertArrayEquals(new int[] {7, 12, 0, 0}, Arrays.copyOfRange(plan.tasks(), 12, 16));
    PassPlan four = PassPlan.of(List.of(three.get(0), three.get(1), three.get(2), decoding(3, 0).part(64, 64)), PLACES, PADDING);
    assertEquals(plan.shape(), four.shape());
    assertFalse(plan.sameTables(four));
    assertTrue(plan.sameTables(PassPlan.of(three, PLACES, PADDING)));
    PassPlan one = PassPlan.of(three.subList(0, 1), PLACES, PADDING);
    assertEquals(1, one.scored(), "one sequence is not filled up");
  }

  @Test
  void buckets() {
    int[] expected = {0, 1, 2, 4, 4, 8, 8, 8, 8, 16};
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], PassPlan.bucket(i));
    }
    assertEquals(64, PassPlan.bucket(33));
  }
}
