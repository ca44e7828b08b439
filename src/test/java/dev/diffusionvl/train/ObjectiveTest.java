// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The rows of a pass against the paper's dense rules, written down row by row. */
class ObjectiveTest {
  private static final int MASK = 1023;
  private static final BlockDiffusionObjective BLOCKS = new BlockDiffusionObjective(8, MASK, BlockDiffusionObjective.LOWEST);

  static Stream<String> cases() {
    return TrainingCase.NAMES.stream();
  }

  /** A row of the dense form: which example, which half, which row of the example. */
  private record Dense(int example, boolean noisy, int row) {
    /** The four visibility rules. */
    boolean sees(Dense key, int blockSize) {
      int own = row / blockSize;
      int other = key.row / blockSize;
      if (example != key.example) {
        return false;
      }
      if (noisy) {
        return key.noisy ? own == other : own > other;
      }
      return !key.noisy && own >= other;
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void goldenNoiseGivesTheDenseRules(String name) {
    TrainingCase golden = TrainingCase.read(name);
    for (int step = 0; step < 3; step++) {
      check(golden.examples(), golden.noises(step));
    }
  }

  @Test
  void drawnNoiseGivesTheDenseRules() {
    SplittableRandom random = new SplittableRandom(5);
    for (int round = 0; round < 50; round++) {
      List<Example> examples = new ArrayList<>();
      List<Noise> noises = new ArrayList<>();
      for (int s = 0; s < 1 + round % 3; s++) {
        int length = 9 + random.nextInt(700); // more than 64 blocks too
        int[] ids = random.ints(length, 0, 1000).map(id -> id % 7 == 0 ? Example.IMAGE : id).toArray();
        int[] labels = Arrays.stream(ids).map(id -> id % 3 == 0 && id != Example.IMAGE ? id : BlockDiffusionObjective.NO_LABEL).toArray();
        Arrays.fill(labels, 0, 8, BlockDiffusionObjective.NO_LABEL);
        ids[length - 1] = 7;
        labels[length - 1] = 7;
        examples.add(new Example(ids, labels));
        noises.add(Noise.draw(labels, 8, BlockDiffusionObjective.LOWEST, random));
        noises.getLast().masked()[length - 1] = true;
      }
      check(examples, noises);
    }
  }

  /** Every kept row sees what the dense rules let it see, nothing that is seen is left out, and every target is there once. */
  private static void check(List<Example> examples, List<Noise> noises) {
    PassRows pass = BLOCKS.rows(examples, noises, examples.size());
    List<Dense> rows = identify(pass, examples.size());
    int firstFeature = 0;
    for (int s = 0; s < examples.size(); s++) {
      int[] features = examples.get(s).features(firstFeature);
      for (int i = 0; i < rows.size(); i++) {
        if (rows.get(i).example() == s) {
          int row = rows.get(i).row();
          boolean masked = rows.get(i).noisy() && noises.get(s).masked()[row];
          int id = examples.get(s).ids()[row];
          assertEquals(masked ? MASK : id == Example.IMAGE ? PassRows.IMAGE_ROW : id, pass.tokens()[i]);
          assertEquals(features[row], pass.features()[i]);
        }
      }
      firstFeature += examples.get(s).imageRows();
    }
    for (PassRows.Span span : pass.spans()) {
      for (int i = span.row(); i < span.row() + span.rows(); i++) {
        Dense own = rows.get(i);
        Set<Dense> visible = new HashSet<>();
        for (int key = span.contextBegin(); key < span.contextEnd(); key++) {
          visible.add(rows.get(key));
        }
        visible.addAll(rows.subList(span.row(), span.row() + span.rows()));
        assertTrue(visible.stream().allMatch(key -> own.sees(key, 8)), own + " sees too much");
        int length = examples.get(own.example()).length();
        int expected = own.noisy() ? own.row() / 8 * 8 + span.rows() : Math.min(length, (own.row() / 8 + 1) * 8);
        assertEquals(expected, visible.size(), own.toString());
        assertEquals(own.row(), span.position() + i - span.row());
      }
    }
    List<PassRows.Target> expected = new ArrayList<>();
    for (int i = 0; i < rows.size(); i++) {
      Dense row = rows.get(i);
      Example example = examples.get(row.example());
      if (row.noisy() && noises.get(row.example()).masked()[row.row()]) {
        long labels = Arrays.stream(example.labels()).filter(label -> label != BlockDiffusionObjective.NO_LABEL).count();
        double level = noises.get(row.example()).level()[row.row() / 8];
        expected.add(new PassRows.Target(i, example.labels()[row.row()], (float) (1 / level / labels / examples.size())));
        assertTrue(i >= pass.firstLearning());
      }
    }
    assertEquals(expected, pass.targets());
    long hidden = noises.stream().mapToLong(noise -> IntStream.range(0, noise.masked().length)
        .filter(i -> noise.masked()[i]).count()).sum();
    assertEquals(hidden, pass.targets().size());
  }

  /** Each row's example is known by the clean rows before it, and every example has some: nothing is masked in its first block. */
  private static List<Dense> identify(PassRows pass, int examples) {
    List<Dense> rows = new ArrayList<>();
    int example = -1;
    for (int s = 0; s < pass.spans().size(); s++) {
      PassRows.Span span = pass.spans().get(s);
      boolean noisy = s >= pass.contextSpans();
      example += !noisy && span.position() == 0 ? 1 : 0;
      for (int i = 0; i < span.rows(); i++) {
        int of = examples == 1 ? 0 : noisy ? rows.get(span.contextBegin()).example() : example;
        rows.add(new Dense(of, noisy, span.position() + i));
      }
    }
    return rows;
  }

  @Test
  void levelsAreStratified() {
    int[] labels = new int[80];
    for (int seed = 0; seed < 100; seed++) {
      Noise noise = Noise.draw(labels, 8, BlockDiffusionObjective.LOWEST, new SplittableRandom(seed));
      for (int k = 0; k < 10; k++) {
        double part = (noise.level()[k] - 1e-3) / (1 - 1e-3);
        assertTrue(part >= k / 10.0 && part <= (k + 1) / 10.0, "block " + k + " has level " + noise.level()[k]);
      }
    }
  }

  @Test
  void nothingUnlabelledIsMasked() {
    int[] labels = new int[64];
    Arrays.fill(labels, BlockDiffusionObjective.NO_LABEL);
    labels[63] = 1;
    Noise noise = Noise.draw(labels, 8, 0.9, new SplittableRandom(1));
    for (int i = 0; i < 63; i++) {
      assertTrue(!noise.masked()[i]);
    }
  }

  @Test
  void theSameSeedDrawsTheSame() {
    Example example = TrainingCase.read("one").examples().getFirst();
    PassRows first = BLOCKS.rows(List.of(example), new long[] {7}, 1);
    PassRows second = BLOCKS.rows(List.of(example), new long[] {7}, 1);
    PassRows other = BLOCKS.rows(List.of(example), new long[] {8}, 1);
    assertArrayEquals(first.tokens(), second.tokens());
    assertEquals(first.targets(), second.targets());
    assertTrue(!first.targets().equals(other.targets()));
  }

  @Test
  void autoregressiveRowsPredictTheNextLabel() {
    Example example = new Example(new int[] {5, Example.IMAGE, Example.IMAGE, 6, 7, 8}, new int[] {5, -100, -100, 6, -100, 8});
    PassRows pass = new AutoregressiveObjective().rows(List.of(example, example), new long[2], 2);
    assertEquals(List.of(new PassRows.Span(0, 6, 0, 0, 0, true), new PassRows.Span(6, 6, 0, 6, 6, true)), pass.spans());
    assertEquals(List.of(new PassRows.Target(2, 6, 0.25f), new PassRows.Target(4, 8, 0.25f), new PassRows.Target(8, 6, 0.25f),
        new PassRows.Target(10, 8, 0.25f)), pass.targets());
    assertArrayEquals(new int[] {-1, 0, 1, -1, -1, -1, -1, 2, 3, -1, -1, -1}, pass.features());
    assertEquals(0, pass.firstLearning());
  }

  @Test
  void impossibleSettingsAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> new BlockDiffusionObjective(0, MASK, 1e-3));
    assertThrows(IllegalArgumentException.class, () -> new BlockDiffusionObjective(8, MASK, 0));
    assertThrows(IllegalArgumentException.class, () -> new Example(new int[1], new int[2]));
  }
}
