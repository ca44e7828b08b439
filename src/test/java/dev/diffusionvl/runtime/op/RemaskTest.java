// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.RemaskOracle;
import dev.diffusionvl.runtime.DType;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** remask: everything exact, from the first pass of a block to its last. */
class RemaskTest extends OpTest {
  private static final int MASK = 99;
  private static final Sample.Rule NOT_DRAWN = new Sample.Rule(0, 0, 1, -1, 0, false);

  @Test
  void blocksByTheBook() {
    for (int rows : few() ? new int[] {1, 8, 257} : new int[] {1, 3, 8, 16, 64, 257, 700}) {
      for (int each : new int[] {1, 2, 7, 1000}) {
        if (rows > 64 && each < 7) {
          continue; // many passes of many rows: nothing new, and slow
        }
        int steps = Math.min(40, (rows + each - 1) / each);
        for (boolean dynamic : new boolean[] {false, true}) {
          for (int positions : new int[] {rows, Math.max(1, steps / 2)}) { // half: then steps without commits
            checkBlock(rows, positions, steps, dynamic, 0, 0);
            checkBlock(rows, positions, steps, dynamic, 3, 0.02);
            checkBlock(rows, positions, steps, dynamic, 7, 0.3);
          }
        }
      }
    }
  }

  /** docs/model.md, "Schedule". */
  private static int[] schedule(int positions, int steps) {
    return IntStream.rangeClosed(0, steps).map(i -> positions / steps + (i < positions % steps ? 1 : 0)).toArray();
  }

  /** Passes until nothing is left, with predictions of which a share differs from one state to the next. */
  private void checkBlock(int rows, int positions, int steps, boolean dynamic, int drafts, double change) {
    String what = "rows %d positions %d steps %d dynamic %s drafts %d change %s, seed %d".formatted(rows, positions, steps, dynamic, drafts,
        change, seed);
    int[] ids = random.ints(rows, 0, 3).map(kind -> kind == 0 ? -1 : MASK).toArray();
    RemaskOracle oracle = new RemaskOracle(ids, schedule(positions, steps), dynamic, 0.5f, MASK);
    try (BlockTable table = new BlockTable(device, 1, rows, 1 + drafts)) {
      table.start(0, new Remask.Rule(dynamic, 0.5f, positions, steps, drafts), NOT_DRAWN);
      table.begin(0, ids, MASK);
      table.upload(stream, 0);
      int[][] token = {tokens(rows)};
      float[][] probability = {probabilities(rows)};
      int[][] carried = {ids};
      for (int pass = 0; pass < steps + 2; pass++) {
        decide(table, token, probability, 0);
        int[][] next = oracle.pass(carried, token, probability, drafts);
        assertState(what + ", pass " + pass, table, 0, oracle);
        int[] state = table.buffer().getInts(stream);
        for (int d = 0; d < drafts; d++) {
          int draft = d + 1;
          int[] got = IntStream.range(0, rows).map(i -> state[table.finishedIdsAt(0) + (1 + draft) * rows + i]).toArray();
          assertArrayEquals(next[d], got, what + ": draft " + draft + " after pass " + pass);
        }
        carried = Stream.concat(Stream.of(oracle.ids.clone()), Arrays.stream(next).limit(oracle.openDrafts)).toArray(int[][]::new);
        token = IntStream.range(0, carried.length).mapToObj(v -> tokens(rows)).toArray(int[][]::new);
        probability = IntStream.range(0, carried.length).mapToObj(v -> probabilities(rows)).toArray(float[][]::new);
        for (int v = 0; v < carried.length; v++) {
          for (int i = 0; i < rows; i++) { // the model mostly agrees with itself
            boolean same = random.nextDouble() >= change;
            token[v][i] = same ? 7 * i % 50 + 1 : token[v][i];
            probability[v][i] = same ? (i % 8) / 8f : probability[v][i];
          }
        }
      }
    }
  }

  /** One launch for the block in one slot, with predictions of its variants. */
  private void decide(BlockTable table, int[][] token, float[][] probability, int slot) {
    kernels.remask.launch(stream, new Predictions(ints(flat(token)), buffer(DType.F32, flat(probability))), token.length * table.rows(),
        table.blocks(), ints(slot, 0, token.length, 0), 1, MASK);
    table.download(stream);
    stream.synchronize();
  }

  private static int[] ids(BlockTable table, int slot) {
    return IntStream.range(0, table.rows()).map(i -> table.id(slot, i)).toArray();
  }

  private static int[] stepsOf(BlockTable table, int slot) {
    return IntStream.range(0, table.rows()).map(i -> table.stepOf(slot, i)).toArray();
  }

  /** Steps taken, masked rows, NaN, passes, open drafts. */
  private static int[] counters(BlockTable table, int slot) {
    return new int[] {table.step(slot), table.masked(slot), table.sawNaN(slot) ? 1 : 0, table.forwards(slot), table.openDrafts(slot)};
  }

  private static void assertState(String what, BlockTable table, int slot, RemaskOracle oracle) {
    assertArrayEquals(oracle.ids, ids(table, slot), what + ": ids");
    assertArrayEquals(oracle.stepOf, stepsOf(table, slot), what);
    for (int i = 0; i < table.rows(); i++) {
      if (oracle.stepOf[i] >= 0) {
        assertEquals(oracle.confidence[i], table.confidence(slot, i), what + ": confidence");
      }
    }
    assertArrayEquals(new int[] {oracle.step, oracle.masked(), 0, oracle.forwards, oracle.openDrafts}, counters(table, slot), what);
  }

  /** Sequences of one launch, each by its own rule and at its own step; slots that no task names stay as they are. */
  @Test
  void blocksOfManySequencesAreDecidedAsAlone() {
    int rows = 8;
    int[] positions = {8, 8, 20, 8, 8};
    int[] steps = {8, 3, 4, 2, 1};
    RemaskOracle[] oracles = new RemaskOracle[5];
    try (BlockTable table = new BlockTable(device, 6, rows, 4)) {
      for (int slot = 0; slot < 5; slot++) {
        int[] ids = random.ints(rows, 0, 4).map(kind -> kind == 0 ? -1 : MASK).toArray();
        boolean dynamic = slot % 2 == 1;
        float threshold = 0.3f + 0.1f * slot;
        oracles[slot] = new RemaskOracle(ids, schedule(positions[slot], steps[slot]), dynamic, threshold, MASK);
        table.start(slot, new Remask.Rule(dynamic, threshold, positions[slot], steps[slot], 0), NOT_DRAWN);
        table.begin(slot, ids, MASK);
        table.upload(stream, slot);
      }
      int[] before = table.buffer().slice(5L * Blocks.words(rows, 4), Blocks.words(rows, 4)).getInts(stream);
      for (int pass = 0; pass < 9; pass++) {
        int joined = Math.min(5, 2 + pass); // sequences come while others are at work
        int[] order = IntStream.range(0, joined).map(i -> joined - 1 - i).toArray();
        int[][] token = new int[joined][];
        float[][] probability = new float[joined][];
        int[] tasks = new int[(joined + 1) * Blocks.TASK_FIELDS];
        for (int i = 0; i < joined; i++) {
          token[i] = tokens(rows);
          probability[i] = probabilities(rows);
          System.arraycopy(new int[] {order[i], i * rows, 1, 0}, 0, tasks, i * Blocks.TASK_FIELDS, Blocks.TASK_FIELDS);
          oracles[order[i]].pass(new int[][] {oracles[order[i]].ids}, new int[][] {token[i]}, new float[][] {probability[i]}, 0);
        }
        tasks[joined * Blocks.TASK_FIELDS] = 5; // no variants: it fills up the list
        kernels.remask.launch(stream, new Predictions(ints(flat(token)), buffer(DType.F32, flat(probability))), joined * rows,
            table.blocks(), ints(tasks), joined + 1, MASK);
        table.download(stream);
        stream.synchronize();
        for (int slot = 0; slot < joined; slot++) {
          assertState("slot " + slot + ", pass " + pass + ", seed " + seed, table, slot, oracles[slot]);
        }
      }
      assertArrayEquals(before, table.buffer().slice(5L * Blocks.words(rows, 4), Blocks.words(rows, 4)).getInts(stream));
    }
  }

  private int[] tokens(int rows) {
    return random.ints(rows, 0, 50).map(t -> t == 0 ? MASK : t).toArray();
  }

  /** Many ties, some exactly at the threshold. */
  private float[] probabilities(int rows) {
    float[] p = new float[rows];
    for (int i = 0; i < rows; i++) {
      p[i] = random.nextInt(8) / 8f;
    }
    return p;
  }

  private static int[] flat(int[][] rows) {
    return Arrays.stream(rows).flatMapToInt(Arrays::stream).toArray();
  }

  private static float[] flat(float[][] rows) {
    float[] all = new float[rows.length * rows[0].length];
    for (int i = 0; i < all.length; i++) {
      all[i] = rows[i / rows[0].length][i % rows[0].length];
    }
    return all;
  }

  private BlockTable table(int positions, int steps, int drafts, int... ids) {
    BlockTable table = new BlockTable(device, 1, ids.length, 1 + drafts);
    table.start(0, new Remask.Rule(false, 0f, positions, steps, drafts), NOT_DRAWN);
    table.begin(0, ids, MASK);
    table.upload(stream, 0);
    return table;
  }

  private int[] withDrafts(BlockTable table) {
    int[] all = table.buffer().getInts(stream);
    return Arrays.copyOfRange(all, table.finishedIdsAt(0) + table.rows(), all.length);
  }

  /** Four rows, confidence falling from row to row: the drafts of the first pass come true one by one. */
  @Test
  void rightDraftsAreTakenAndWrongOnesStopTheChain() {
    int m = MASK;
    try (BlockTable table = table(4, 4, 3, m, m, m, m)) {
      decide(table, new int[][] {{1, 2, 3, 4}}, new float[][] {{0.9f, 0.8f, 0.7f, 0.6f}}, 0);
      assertArrayEquals(new int[] {1, m, m, m, 1, 2, m, m, 1, 2, 3, m, 1, 2, 3, 4}, withDrafts(table));
      assertEquals(2, table.openDrafts(0), "the full draft is no use to a pass");

      // The block and two drafts come back. The block's own predictions agree with draft 1; those of draft 1 fill row 2 with another token.
      decide(table, new int[][] {{9, 2, 3, 4}, {9, 9, 30, 40}, {9, 9, 9, 9}},
          new float[][] {{0.9f, 0.8f, 0.7f, 0.6f}, {0.9f, 0.8f, 0.5f, 0.4f}, {1, 1, 1, 1}}, 0);
      assertArrayEquals(new int[] {1, 2, 30, m}, ids(table, 0));
      assertArrayEquals(new int[] {1, 2, 30, 40}, Arrays.copyOfRange(withDrafts(table), 4, 8), "drafts follow the last predictions used");
      assertArrayEquals(new int[] {3, 1, 0, 2, 0}, counters(table, 0));
      assertArrayEquals(new int[] {0, 1, 2, -1}, stepsOf(table, 0));
      assertEquals(List.of(0.9f, 0.8f, 0.5f), IntStream.range(0, 3).mapToObj(i -> table.confidence(0, i)).toList());
    }
  }

  /** Its row stays masked, may be committed again, and would lose the entry of the first time. */
  @Test
  void noStepFollowsACommittedMaskInTheSamePass() {
    int m = MASK;
    try (BlockTable table = table(3, 3, 1, m, m)) {
      for (int variants = 1; variants <= 2; variants++) {
        decide(table, Arrays.copyOf(new int[][] {{m, 2}, {m, 2}}, variants),
            Arrays.copyOf(new float[][] {{0.9f, 0.8f}, {0.9f, 0.8f}}, variants), 0);
        assertArrayEquals(new int[] {m, m, m, m}, withDrafts(table), "the draft foresees the same mask");
        assertArrayEquals(new int[] {variants - 1, -1}, stepsOf(table, 0));
        assertArrayEquals(new int[] {variants, 2, 0, variants, 1}, counters(table, 0));
      }
    }
  }

  @Test
  void aNaNOfAMaskedRowStopsTheBlockForGood() {
    float[] probability = {0.5f, Float.NaN, 0.7f};
    for (int open = 0; open < 2; open++) {
      try (BlockTable table = table(2, 2, 0, MASK, open == 1 ? MASK : 5, MASK)) {
        decide(table, new int[][] {{1, 2, 3}}, new float[][] {probability}, 0);
        assertArrayEquals(open == 1 ? new int[] {MASK, MASK, MASK} : new int[] {MASK, 5, 3}, ids(table, 0));
        assertEquals(open == 1, table.sawNaN(0));
        assertEquals(1 - open, table.forwards(0), "the pass that met it is not counted");
        decide(table, new int[][] {{1, 2, 3}}, new float[][] {{0, 0, 0}}, 0);
        assertEquals(open == 1, table.sawNaN(0));
        assertTrue(open == 0 || Arrays.equals(new int[] {MASK, MASK, MASK}, ids(table, 0)));
      }
    }
  }
}
