// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.RemaskOracle;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.Remask;
import java.util.Arrays;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** remask: everything exact, from the first pass of a block to its last. */
class RemaskTest extends OpTest {
  private static final int MASK = 99;

  @Test
  void blocksByTheBook() {
    for (int rows : SMALL ? new int[] {1, 8, 257} : new int[] {1, 3, 8, 16, 64, 257, 700}) {
      for (int each : new int[] {1, 2, 7, 1000}) {
        if (rows > 64 && each < 7) {
          continue; // many passes of many rows: nothing new, and slow
        }
        for (boolean dynamic : new boolean[] {false, true}) {
          int[] quota = new int[Math.min(40, (rows + each - 1) / each) + 1];
          Arrays.fill(quota, each);
          quota[quota.length / 2] = 0; // a step without commits
          checkBlock(rows, quota, dynamic, 0, 0);
          checkBlock(rows, quota, dynamic, 3, 0.02);
          checkBlock(rows, quota, dynamic, 7, 0.3);
        }
      }
    }
  }

  /** Passes until nothing is left, with predictions of which a share differs from one state to the next. */
  private void checkBlock(int rows, int[] quota, boolean dynamic, int drafts, double change) {
    String what = "rows %d quota %s dynamic %s drafts %d change %s, seed %d".formatted(rows, Arrays.toString(quota), dynamic, drafts,
        change, seed);
    int[] ids = random.ints(rows, 0, 3).map(kind -> kind == 0 ? -1 : MASK).toArray();
    RemaskOracle oracle = new RemaskOracle(ids, quota, dynamic, 0.5f, MASK);
    int[] status = {0, oracle.masked(), 0, 0, 0, 0, 0, 0};
    DeviceBuffer deviceStatus = ints(status);
    DeviceBuffer deviceStepOf = ints(oracle.stepOf);
    DeviceBuffer confidence = buffer(DType.F32, oracle.confidence);
    DeviceBuffer deviceIds = empty(DType.I32, (1L + drafts) * rows);
    deviceIds.set(stream, ids);
    int[][] token = {tokens(rows)};
    float[][] probability = {probabilities(rows)};
    int[][] carried = {ids};
    for (int pass = 0; pass < quota.length + 1; pass++) {
      kernels.remask.launch(stream, new Predictions(ints(flat(token)), buffer(DType.F32, flat(probability))),
          new Remask.Block(deviceIds, deviceStepOf, confidence, deviceStatus), ints(quota), rows, carried.length, drafts,
          new Remask.Rule(dynamic, 0.5f, MASK));
      int[][] next = oracle.pass(carried, token, probability, drafts);
      int[] got = deviceIds.getInts(stream);
      assertArrayEquals(oracle.ids, Arrays.copyOf(got, rows), what + ": ids after pass " + pass);
      assertArrayEquals(flat(next), Arrays.copyOfRange(got, rows, got.length), what + ": drafts after pass " + pass);
      assertArrayEquals(oracle.stepOf, deviceStepOf.getInts(stream), what);
      assertArrayEquals(oracle.confidence, confidence.getFloats(stream), what);
      assertArrayEquals(new int[] {oracle.step, oracle.masked(), 0, oracle.forwards, oracle.openDrafts, 0, 0, 0},
          deviceStatus.getInts(stream), what);
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

  /** Four rows, confidence falling from row to row: the drafts of the first pass come true one by one. */
  @Test
  void rightDraftsAreTakenAndWrongOnesStopTheChain() {
    int m = MASK;
    int[] quota = {1, 1, 1, 1, 0};
    DeviceBuffer status = ints(0, 4, 0, 0, 0, 0, 0, 0);
    DeviceBuffer ids = empty(DType.I32, 16);
    ids.set(stream, m, m, m, m);
    DeviceBuffer stepOf = ints(-1, -1, -1, -1);
    DeviceBuffer confidence = buffer(DType.F32, 0, 0, 0, 0);
    Remask.Rule rule = new Remask.Rule(false, 0f, m);
    float[] p = {0.9f, 0.8f, 0.7f, 0.6f};
    kernels.remask.launch(stream, new Predictions(ints(1, 2, 3, 4), buffer(DType.F32, p)),
        new Remask.Block(ids, stepOf, confidence, status), ints(quota), 4, 1, 3, rule);
    assertArrayEquals(new int[] {1, m, m, m, 1, 2, m, m, 1, 2, 3, m, 1, 2, 3, 4}, ids.getInts(stream));
    assertEquals(2, status.getInts(stream)[Remask.DRAFTS], "the full draft is no use to a pass");

    // The block and two drafts come back. The block's own predictions agree with draft 1; those of draft 1 fill row 2 with another token.
    float[] three = {0.9f, 0.8f, 0.7f, 0.6f, 0.9f, 0.8f, 0.5f, 0.4f, 1, 1, 1, 1};
    kernels.remask.launch(stream, new Predictions(ints(9, 2, 3, 4, 9, 9, 30, 40, 9, 9, 9, 9), buffer(DType.F32, three)),
        new Remask.Block(ids, stepOf, confidence, status), ints(quota), 4, 3, 3, rule);
    assertArrayEquals(new int[] {1, 2, 30, m}, Arrays.copyOf(ids.getInts(stream), 4));
    assertArrayEquals(new int[] {1, 2, 30, 40}, Arrays.copyOfRange(ids.getInts(stream), 4, 8), "drafts follow the last predictions used");
    assertArrayEquals(new int[] {3, 1, 0, 2, 0, 0, 0, 0}, status.getInts(stream));
    assertArrayEquals(new int[] {0, 1, 2, -1}, stepOf.getInts(stream));
    assertArrayEquals(new float[] {0.9f, 0.8f, 0.5f, 0}, confidence.getFloats(stream));
  }

  /** Its row stays masked, may be committed again, and would lose the entry of the first time. */
  @Test
  void noStepFollowsACommittedMaskInTheSamePass() {
    int m = MASK;
    DeviceBuffer status = ints(0, 2, 0, 0, 0, 0, 0, 0);
    DeviceBuffer ids = ints(m, m, -7, -7);
    DeviceBuffer stepOf = ints(-1, -1);
    Remask.Rule rule = new Remask.Rule(false, 0f, m);
    for (int variants = 1; variants <= 2; variants++) {
      kernels.remask.launch(stream, new Predictions(ints(m, 2, m, 2), buffer(DType.F32, 0.9f, 0.8f, 0.9f, 0.8f)),
          new Remask.Block(ids, stepOf, empty(DType.F32, 2), status), ints(1, 1, 1, 1), 2, variants, 1, rule);
      assertArrayEquals(new int[] {m, m, m, m}, ids.getInts(stream), "the draft foresees the same mask");
      assertArrayEquals(new int[] {variants - 1, -1}, stepOf.getInts(stream));
      assertArrayEquals(new int[] {variants, 2, 0, variants, 1, 0, 0, 0}, status.getInts(stream));
    }
  }

  @Test
  void aNaNOfAMaskedRowStopsTheBlockForGood() {
    float[] probability = {0.5f, Float.NaN, 0.7f};
    for (int open = 0; open < 2; open++) {
      DeviceBuffer ids = ints(9, open == 1 ? 9 : 5, 9);
      DeviceBuffer status = ints(0, 2 + open, 0, 4, 0, 0, 0, 0);
      DeviceBuffer stepOf = ints(-1, -1, -1);
      DeviceBuffer confidence = empty(DType.F32, 3);
      Remask.Rule rule = new Remask.Rule(false, 0f, 9);
      kernels.remask.launch(stream, new Predictions(ints(1, 2, 3), buffer(DType.F32, probability)),
          new Remask.Block(ids, stepOf, confidence, status), ints(1, 1, 1), 3, 1, 0, rule);
      assertArrayEquals(open == 1 ? new int[] {9, 9, 9} : new int[] {9, 5, 3}, ids.getInts(stream));
      assertEquals(open, status.getInts(stream)[Remask.NAN]);
      assertEquals(5 - open, status.getInts(stream)[Remask.FORWARDS], "the pass that met it is not counted");
      kernels.remask.launch(stream, new Predictions(ints(1, 2, 3), buffer(DType.F32, 0, 0, 0)),
          new Remask.Block(ids, stepOf, confidence, status), ints(1, 1, 1), 3, 1, 0, rule);
      assertEquals(open, status.getInts(stream)[Remask.NAN]);
      assertTrue(open == 0 || Arrays.equals(new int[] {9, 9, 9}, ids.getInts(stream)));
    }
  }
}
