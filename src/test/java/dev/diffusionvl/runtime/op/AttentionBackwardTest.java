// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Gradients of attention against the chain rule in float64, over the layouts of training and of vision. */
class AttentionBackwardTest extends OpTest {
  private record Segment(int row, int rows, int slot, int contextBegin, int contextEnd, Segments.Own own) {
    boolean sees(int i, int at) {
      boolean self = at >= slot && at < slot + rows && (own == Segments.Own.SELF || own == Segments.Own.CAUSAL && at - slot <= i);
      return self || at >= contextBegin && at < contextEnd;
    }
  }

  /** What one sample of block diffusion looks like: clean blocks, then noisy blocks, the last ones ragged. */
  private static List<Segment> training(int blocks, int blockSize, int lastRows) {
    List<Segment> segments = new ArrayList<>();
    int row = 0;
    for (int i = 0; i < blocks - 1; i++) {
      segments.add(new Segment(row, blockSize, row, 0, row, Segments.Own.SELF));
      row += blockSize;
    }
    for (int i = 0; i < blocks; i++) {
      int rows = i == blocks - 1 ? lastRows : blockSize;
      segments.add(new Segment(row, rows, row, 0, i * blockSize, Segments.Own.SELF));
      row += rows;
    }
    return segments;
  }

  /** Two samples in one pass: nobody sees anything of the other one, and the second one's context begins in the middle of a tile. */
  private static List<Segment> both(List<Segment> first, List<Segment> second) {
    int rows = first.getLast().row() + first.getLast().rows();
    List<Segment> all = new ArrayList<>(first);
    second.forEach(s -> all.add(
        new Segment(s.row() + rows, s.rows(), s.slot() + rows, s.contextBegin() + rows, s.contextEnd() + rows, s.own())));
    return all;
  }

  private static List<Segment> windows(int... rows) {
    List<Segment> segments = new ArrayList<>();
    int row = 0;
    for (int count : rows) {
      segments.add(new Segment(row, count, row, row, row, Segments.Own.SELF));
      row += count;
    }
    return segments;
  }

  @Test
  void blockDiffusion() {
    check(training(4, 8, 5), 2, 1, 128, 0);
    check(training(3, 4, 4), 4, 2, 80, 3);
    check(training(3, 8, 1), 14, 2, 72, 0);
    check(both(training(2, 4, 1), training(3, 4, 2)), 2, 1, 72, 0);
    if (!few()) {
      check(training(5, 8, 3), 16, 2, 128, 1);
      check(training(12, 8, 7), 7, 1, 80, 0);
    }
  }

  @Test
  void manyBlocks() {
    check(training(few() ? 66 : 70, few() ? 1 : 2, 1), 2, 1, 72, 0);
  }

  /** More than a block of the bf16 kernel tests at once: the last one sees the slots of all. */
  @Test
  void moreSegmentsThanAreTestedAtOnce() {
    List<Segment> segments = windows(IntStream.generate(() -> 1).limit(530).toArray());
    segments.set(3, new Segment(3, 1, 3, 500, 530, Segments.Own.SELF));
    segments.add(new Segment(530, 3, 530, 0, 530, Segments.Own.NONE));
    check(DType.BF16, segments, 1, 1, 72, 0);
  }

  @Test
  void causal() {
    check(List.of(new Segment(0, 19, 2, 0, 2, Segments.Own.CAUSAL)), 3, 1, 80, 4);
    check(List.of(new Segment(0, 1, 0, 0, 0, Segments.Own.CAUSAL), new Segment(1, 17, 1, 0, 1, Segments.Own.CAUSAL)), 2, 2, 72, 0);
    check(List.of(new Segment(0, few() ? 75 : 201, 0, 0, 0, Segments.Own.CAUSAL)), 2, 1, 128, 0);
  }

  @Test
  void windowsOfAnImage() {
    check(windows(16, 3, 20, 1), 2, 2, 80, 0);
    if (!few()) {
      check(windows(64, 65, 100, 7), 1, 1, 72, 0);
    }
  }

  @Test
  void rowsThatSeeNothing() {
    check(List.of(new Segment(0, 3, 0, 0, 0, Segments.Own.NONE), new Segment(3, 2, 3, 0, 2, Segments.Own.NONE)), 2, 1, 72, 70);
  }

  /** Contexts begin and end inside of a tile, slots are not in the order of rows, and the lists of a warp's rows end in two tiles. */
  @Test
  void contextsFromAnywhere() {
    check(List.of(new Segment(0, 9, 60, 3, 41, Segments.Own.SELF), new Segment(9, 40, 0, 66, 69, Segments.Own.CAUSAL),
        new Segment(49, 2, 45, 45, 71, Segments.Own.NONE)), 8, 1, 80, 9);
  }

  private void check(List<Segment> layout, int heads, int kvHeads, int dim, int spare) {
    for (DType dtype : TRAINED) {
      check(dtype, layout, heads, kvHeads, dim, spare);
    }
  }

  /** @param spare slots behind the rows, which nobody sees */
  private void check(DType dtype, List<Segment> layout, int heads, int kvHeads, int dim, int spare) {
    int rows = layout.stream().mapToInt(s -> s.row() + s.rows()).max().orElse(0);
    int slots = layout.stream().mapToInt(s -> Math.max(s.slot() + s.rows(), s.contextEnd())).max().orElse(0) + spare;
    double scale = 1 / Math.sqrt(dim);
    int each = heads * dim;
    float[] q = normal(dtype, rows * each, 1);
    float[] k = normal(dtype, kvHeads * slots * dim, 1);
    float[] v = normal(dtype, kvHeads * slots * dim, 1);
    float[] dOut = normal(dtype, rows * each, 1);
    double[] dq = new double[q.length];
    double[] dk = new double[k.length];
    double[] dv = new double[v.length];
    double[] lse = new double[rows * heads];
    for (Segment segment : layout) {
      for (int i = 0; i < segment.rows(); i++) {
        for (int head = 0; head < heads; head++) {
          int row = segment.row() + i;
          lse[row * heads + head] = gradients(segment, i, slots, q, k, v, dOut, row * each + head * dim,
              head / (heads / kvHeads) * slots * dim, dim, scale, dq, dk, dv);
        }
      }
    }
    DeviceBuffer query = buffer(dtype, q);
    KeyValues kv = new KeyValues(buffer(dtype, k), buffer(dtype, v), new Heads(heads, kvHeads, dim), slots);
    KeyValues dKv = new KeyValues(empty(dtype, k.length), empty(dtype, k.length), kv.heads(), slots);
    DeviceBuffer out = empty(dtype, q.length);
    DeviceBuffer logSumExp = empty(DType.F32, lse.length);
    DeviceBuffer dQuery = empty(dtype, q.length);
    DeviceBuffer gradient = buffer(dtype, dOut);
    DeviceBuffer delta = empty(DType.F32, lse.length);
    try (Segments segments = new Segments(device, layout.size())) {
      layout.forEach(s -> segments.add(s.row(), s.rows(), 0, s.slot(), s.contextBegin(), s.contextEnd(), s.own()));
      segments.upload(stream);
      kernels.attention.launchForTraining(stream, query, kv, segments, out, logSumExp, (float) scale);
      float[] actual = logSumExp.getFloats(stream);
      for (int i = 0; i < lse.length; i++) {
        assertEquals(lse[i], actual[i], 1e-5, "log-sum-exp " + i + " (seed " + seed + ")");
      }
      List<DeviceBuffer> gradients = List.of(dQuery, dKv.keys(), dKv.values());
      List<double[]> expected = List.of(dq, dk, dv);
      List<float[]> first = new ArrayList<>();
      for (boolean again : new boolean[] {false, true}) {
        gradients.forEach(made -> stream.fill(made, 0xff));
        kernels.attentionBackward.launch(stream, query, kv, segments, out, logSumExp, gradient, dQuery, dKv, delta, (float) scale);
        for (int i = 0; i < 3; i++) {
          String what = "attention_backward " + dtype + " of " + layout.size() + " segments, " + heads + "/" + kvHeads + " heads of " + dim
              + ", " + List.of("dq", "dk", "dv").get(i);
          float[] made = gradients.get(i).getFloats(stream);
          if (again) {
            assertArrayEquals(first.get(i), made, what + ": the same bits again");
          } else {
            assertGradient(what, expected.get(i), made, dim, dtype == DType.F32 ? 2e-6 : 4e-3);
            first.add(made);
          }
        }
      }
    }
  }

  /** Every row of a head within a part of its norm and of a usual term's: a row's terms may cancel out to nothing. */
  private void assertGradient(String what, double[] expected, float[] actual, int width, double tolerance) {
    int rows = expected.length / width;
    for (int r = 0; r < rows; r++) {
      double error = 0;
      double norm = 0;
      for (int i = r * width; i < (r + 1) * width; i++) {
        error += Math.pow(actual[i] - expected[i], 2);
        norm += Math.pow(expected[i], 2);
      }
      double relative = Math.sqrt(error) / (Math.sqrt(norm) + Math.sqrt(width));
      assertTrue(relative <= tolerance, "%s: row %d of %d: relative error %.3g (seed %d)".formatted(what, r, rows, relative, seed));
    }
  }

  /** The chain rule for one row and head; returns log Σ exp. */
  private static double gradients(Segment segment, int i, int slots, float[] q, float[] k, float[] v, float[] dOut, int at, int plane,
      int dim, double scale, double[] dq, double[] dk, double[] dv) {
    int[] keys = IntStream.range(0, slots).filter(slot -> segment.sees(i, slot)).toArray();
    double[] p = new double[keys.length];
    double[] dp = new double[keys.length];
    double maximum = Double.NEGATIVE_INFINITY;
    for (int j = 0; j < keys.length; j++) {
      for (int d = 0; d < dim; d++) {
        p[j] += scale * q[at + d] * k[plane + keys[j] * dim + d];
        dp[j] += (double) dOut[at + d] * v[plane + keys[j] * dim + d];
      }
      maximum = Math.max(maximum, p[j]);
    }
    double top = maximum;
    double sum = Arrays.stream(p).map(score -> Math.exp(score - top)).sum();
    double mean = 0;
    for (int j = 0; j < keys.length; j++) {
      p[j] = Math.exp(p[j] - maximum) / sum;
      mean += p[j] * dp[j];
    }
    for (int j = 0; j < keys.length; j++) {
      double ds = p[j] * (dp[j] - mean) * scale;
      for (int d = 0; d < dim; d++) {
        dq[at + d] += ds * k[plane + keys[j] * dim + d];
        dk[plane + keys[j] * dim + d] += ds * q[at + d];
        dv[plane + keys[j] * dim + d] += p[j] * dOut[at + d];
      }
    }
    return maximum + Math.log(sum);
  }
}
