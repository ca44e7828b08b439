// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.ProductOracle;
import dev.diffusionvl.oracle.Rounding;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * The skinny products with weights of eight and four bits: skinny_gemm against float64, every code's value, the fused ones bit for bit
 * against the chain of plain kernels; and expand_weights.
 */
class SkinnyPackedTest extends OpTest {
  private static final float EPS = 1e-6f;
  private static final int DIM = SkinnyQkv.HEAD_DIM;
  int[] rowCounts = SMALL ? new int[] {3, 16, 27, 70} : new int[] {1, 8, 13, 27, 33, 70};
  /** n, k, shift: ragged everywhere, groups of 32, 64, 128 and all columns, tiles of several blocks. */
  int[][] shapes = SMALL ? new int[][] {{1, 8, 5}, {17, 72, 5}, {130, 320, 7}, {136, 776, 30}}
      : new int[][] {{1, 8, 5}, {17, 72, 5}, {128, 64, 6}, {130, 320, 7}, {200, 520, 5}, {136, 776, 30}, {40, 264, 6}, {129, 136, 30}};

  DType half = DType.BF16; // of the activations
  private SkinnyWorkspace workspace;

  @BeforeEach
  void openWorkspace() {
    workspace = new SkinnyWorkspace(stream, 64, false, false); // by cp.async; SkinnyRingTest has the others
  }

  @AfterEach
  void closeWorkspace() {
    workspace.close();
  }

  /** A matrix of each kind. */
  private List<PackedMatrix> matrices(int out, int in, int shift, boolean paired) {
    List<PackedMatrix> all = new ArrayList<>();
    for (WeightForm form : new WeightForm[] {WeightForm.FP8, WeightForm.INT4}) {
      PackedLayout layout = new PackedLayout(form, out, in, paired, shift);
      all.add(PackedMatrix.random(random, layout, 0.1, false));
      if (form == WeightForm.INT4) {
        all.add(PackedMatrix.random(random, layout, 0.1, true));
      }
    }
    return all;
  }

  private static String what(String op, PackedMatrix w, int rows) {
    return op + " " + rows + " rows, " + w.layout() + (w.zeros() == null ? "" : " with zeros");
  }

  private DeviceBuffer product(DeviceBuffer x, WeightMatrix w, DType result, int rows) {
    DeviceBuffer y = empty(result, (long) rows * w.out());
    kernels.skinnyGemm.launch(stream, workspace, x, w, y, rows);
    return y;
  }

  @Test
  void gemmAgainstFloat64() {
    for (int[] shape : shapes) {
      int n = shape[0];
      int k = shape[1];
      for (PackedMatrix matrix : matrices(n, k, shape[2], false)) {
        WeightMatrix w = matrix.on(this);
        for (int rows : rowCounts) {
          float[] x = normal(half, rows * k, 1);
          double[] expected = ProductOracle.product(x, matrix.values(), rows, n, k);
          DeviceBuffer dx = buffer(half, x);
          float[] sums = product(dx, w, DType.F32, rows).getFloats(stream);
          assertRows(what("skinny_gemm", matrix, rows), expected, sums, rows,
              n < 8 ? 1e-4 : 2e-6); // one number may be what is left of large ones
          float[] rounded = product(dx, w, half, rows).getFloats(stream);
          for (int i = 0; i < sums.length; i++) {
            assertEquals((float) Rounding.of(half).of(sums[i]), rounded[i], 0f);
          }
        }
      }
    }
  }

  /** A row of x that is 1 in one place picks a column: every code of every zero point, in every place of a unit. */
  @Test
  void everyCodeHasItsValue() {
    int n = 128;
    int k = 64;
    for (PackedMatrix matrix : matrices(n, k, 5, false)) {
      WeightMatrix w = matrix.on(this);
      for (int first = 0; first < k; first += 32) {
        float[] x = new float[32 * k];
        for (int row = 0; row < 32; row++) {
          x[row * k + first + row] = 1;
        }
        float[] y = product(buffer(half, x), w, DType.F32, 32).getFloats(stream);
        for (int i = 0; i < y.length; i++) {
          int column = first + i / n;
          assertEquals((float) matrix.value(i % n, column), y[i], 0f, what("row " + i % n + ", column " + column, matrix, 32));
        }
      }
    }
  }

  @Test
  void aRowHasTheSameBitsAtEveryNumberOfRows() {
    int n = 150;
    int k = 584;
    for (PackedMatrix matrix : matrices(n, k, 5, false)) {
      WeightMatrix w = matrix.on(this);
      DeviceBuffer x = buffer(half, normal(half, 64 * k, 1));
      float[] all = product(x, w, DType.F32, 64).getFloats(stream);
      for (int rows : SMALL ? new int[] {1, 9, 33} : new int[] {1, 8, 9, 16, 20, 32, 33}) {
        float[] some = product(x.slice((64L - rows) * k, (long) rows * k), w, DType.F32, rows).getFloats(stream);
        assertArrayEquals(Arrays.copyOfRange(all, (64 - rows) * n, 64 * n), some, 0f, what("skinny_gemm", matrix, rows));
      }
    }
  }

  private DeviceBuffer squares(DeviceBuffer x, int rows, int width) {
    DeviceBuffer squares = empty(DType.F32, (long) rows * RowSquares.groups(width));
    kernels.rowSquares.launch(stream, x, squares, rows, width);
    return squares;
  }

  private DeviceBuffer normed(DeviceBuffer h, DeviceBuffer norm, int rows, int k) {
    DeviceBuffer normed = empty(half, (long) rows * k);
    kernels.rmsNorm.launch(stream, h, norm, normed, rows, k, EPS);
    return normed;
  }

  @Test
  void residual() {
    for (int[] shape : new int[][] {{1, 8, 5}, {130, 264, 6}, {200, 584, 30}}) {
      int n = shape[0];
      int k = shape[1];
      for (PackedMatrix matrix : matrices(n, k, shape[2], false)) {
        WeightMatrix w = matrix.on(this);
        for (int rows : rowCounts) {
          DeviceBuffer x = buffer(half, normal(half, rows * k, 1));
          float[] h = normal(half, rows * n, 2);
          DeviceBuffer fused = buffer(half, h);
          DeviceBuffer sumsOfSquares = empty(DType.F32, (long) rows * RowSquares.groups(n));
          kernels.skinnyResidual.launch(stream, workspace, x, w, new Residual(fused, sumsOfSquares), rows);
          DeviceBuffer plain = buffer(half, h);
          kernels.residualAdd.launch(stream, plain, product(x, w, DType.F32, rows), null, rows, n);
          String what = what("skinny_residual", matrix, rows);
          assertArrayEquals(plain.getFloats(stream), fused.getFloats(stream), 0f, what);
          assertArrayEquals(squares(plain, rows, n).getFloats(stream), sumsOfSquares.getFloats(stream), 0f, what);
        }
      }
    }
  }

  @Test
  void swiglu() {
    for (int[] shape : new int[][] {{1, 8, 5}, {63, 136, 6}, {101, 520, 7}}) {
      int inter = shape[0];
      int k = shape[1];
      int tiles = (inter + 63) / 64;
      int[] inTiles = IntStream.range(0, tiles * 128).map(i -> {
        int row = i / 128 * 64 + i % 64;
        return row < inter ? row + i % 128 / 64 * inter : -1;
      }).toArray();
      for (PackedMatrix matrix : matrices(2 * inter, k, shape[2], true)) {
        WeightMatrix w = matrix.on(this);
        WeightMatrix ordered = matrix.inOrder(inTiles).on(this);
        DeviceBuffer norm = buffer(half, normal(half, k, 1));
        for (int rows : rowCounts) {
          DeviceBuffer h = buffer(half, normal(half, rows * k, 3));
          DeviceBuffer fused = empty(half, (long) rows * inter);
          kernels.skinnySwiglu.launch(stream, workspace, new Residual(h, squares(h, rows, k)), new NormedLinear(norm, EPS, w, null), fused,
              rows);
          float[] sums = product(normed(h, norm, rows, k), ordered, DType.F32, rows).getFloats(stream);
          float[] gateUp = new float[rows * 2 * inter];
          for (int i = 0; i < rows * inTiles.length; i++) {
            if (inTiles[i % inTiles.length] >= 0) {
              gateUp[i / inTiles.length * 2 * inter + inTiles[i % inTiles.length]] = sums[i];
            }
          }
          DeviceBuffer plain = empty(half, (long) rows * inter);
          kernels.swiglu.launch(stream, buffer(DType.F32, gateUp), null, plain, rows, inter);
          assertArrayEquals(plain.getFloats(stream), fused.getFloats(stream), 0f, what("skinny_swiglu", matrix, rows));
        }
      }
    }
  }

  @Test
  void qkv() {
    int heads = 2;
    int kvHeads = 1;
    for (int[] shape : new int[][] {{72, 5}, {264, 30}}) {
      int k = shape[0];
      int n = (heads + 2 * kvHeads) * DIM;
      for (PackedMatrix matrix : matrices(n, k, shape[1], false)) {
        WeightMatrix w = matrix.on(this);
        DeviceBuffer norm = buffer(half, normal(half, k, 1));
        DeviceBuffer bias = buffer(half, normal(half, n, 1));
        for (int rows : rowCounts) {
          int slots = rows + 5;
          Rope rope = new Rope(buffer(DType.F32, normal(DType.F32, slots * DIM / 2, 1)),
              buffer(DType.F32, normal(DType.F32, slots * DIM / 2, 1)));
          DeviceBuffer h = buffer(half, normal(half, rows * k, 2));
          float[][][] out = new float[2][3][];
          try (Segments segments = new Segments(device, 1)) {
            segments.add(0, rows, 3, 4, 0, 0, Segments.Own.NONE);
            segments.upload(stream);
            for (int i = 0; i < 2; i++) {
              DeviceBuffer q = empty(half, (long) rows * heads * DIM);
              DeviceBuffer keys = empty(half, (long) kvHeads * slots * DIM);
              DeviceBuffer values = empty(half, (long) kvHeads * slots * DIM);
              KeyValues kv = new KeyValues(keys, values, new Heads(heads, kvHeads, DIM), slots);
              if (i == 0) {
                kernels.skinnyQkv.launch(stream, workspace, new Residual(h, squares(h, rows, k)), new NormedLinear(norm, EPS, w, bias),
                    rope, segments, q, kv);
              } else {
                kernels.ropeKvAppend.launch(stream, product(normed(h, norm, rows, k), w, DType.F32, rows), bias, rope, segments, q, kv);
              }
              out[i] = new float[][] {q.getFloats(stream), keys.getFloats(stream), values.getFloats(stream)};
            }
          }
          for (int i = 0; i < 3; i++) {
            assertArrayEquals(out[1][i], out[0][i], 0f, what("skinny_qkv", matrix, rows));
          }
        }
      }
    }
  }

  @Test
  void confidence() {
    for (int[] shape : new int[][] {{5, 72, 5}, {391, 136, 30}}) {
      int vocab = shape[0];
      int k = shape[1];
      for (PackedMatrix matrix : matrices(vocab, k, shape[2], false)) {
        WeightMatrix w = matrix.on(this);
        DeviceBuffer norm = buffer(half, normal(half, k, 1));
        for (int rows : rowCounts) {
          DeviceBuffer h = buffer(half, normal(half, rows * k, 1));
          DeviceBuffer[] token = {empty(DType.I32, rows), empty(DType.I32, rows)};
          DeviceBuffer[] f = new DeviceBuffer[6];
          Arrays.setAll(f, i -> empty(DType.F32, rows));
          kernels.skinnyConfidence.launch(stream, workspace, new Residual(h, squares(h, rows, k)), new NormedLinear(norm, EPS, w, null),
              empty(DType.F32, SkinnyConfidence.parts(rows, vocab)), new Predictions(token[0], f[0], f[1], f[2]), rows, 1, null);
          kernels.confidence.launch(stream, product(normed(h, norm, rows, k), w, half, rows),
              new Predictions(token[1], f[3], f[4], f[5]), rows, vocab, 1, null);
          String what = what("skinny_confidence", matrix, rows);
          assertArrayEquals(token[1].getInts(stream), token[0].getInts(stream), what);
          for (int i = 0; i < 3; i++) {
            assertArrayEquals(f[3 + i].getFloats(stream), f[i].getFloats(stream), 0f, what);
          }
        }
      }
    }
  }

  @Test
  void expandWeights() {
    for (int[] shape : shapes) {
      for (boolean paired : new boolean[] {false, true}) {
        int out = paired ? 2 * shape[0] : shape[0];
        for (PackedMatrix matrix : matrices(out, shape[1], shape[2], paired)) {
          int size = out * shape[1];
          DeviceBuffer all = empty(half, size + 8);
          kernels.expandWeights.launch(stream, matrix.on(this), all);
          float[] values = all.getFloats(stream);
          float[] expected = matrix.values();
          for (int i = 0; i < size; i++) {
            assertEquals((float) Rounding.of(half).of(expected[i]), values[i], 0f, what("expand_weights, element " + i, matrix, 0));
          }
          assertTrue(Float.isNaN(values[size]), "nothing else is written");
        }
      }
    }
  }

  @Test
  void refusals() {
    PackedMatrix matrix = matrices(16, 64, 5, false).getLast();
    WeightMatrix.Packed w = matrix.on(this);
    DeviceBuffer x = buffer(half, new float[64]);
    for (WeightMatrix bad : new WeightMatrix[] {new WeightMatrix.Packed(w.layout(), w.codes().slice(0, 64), w.scales(), w.zeros()),
        new WeightMatrix.Packed(w.layout(), w.codes(), w.scales().slice(0, 4), w.zeros()),
        new WeightMatrix.Packed(w.layout(), w.codes(), w.scales(), w.zeros().slice(0, 4)),
        new WeightMatrix.Packed(w.layout(), w.codes(), null, w.zeros()),
        new WeightMatrix.Packed(w.layout(), w.codes(), w.scales(), w.zeros().slice(1, w.zeros().elements() - 1))}) {
      assertThrows(IllegalArgumentException.class, () -> product(x, bad, DType.F32, 1));
    }
    DeviceBuffer floats = buffer(DType.F32, new float[64]);
    String message = assertThrows(IllegalArgumentException.class, () -> product(floats, w, DType.F32, 1)).getMessage();
    assertTrue(message.contains("packed weights"), message);
    for (int[] bad : new int[][] {{0, 8, 5}, {1, 12, 5}, {1, 8, 4}, {1, 8, 31}}) {
      assertThrows(IllegalArgumentException.class, () -> new PackedLayout(WeightForm.INT4, bad[0], bad[1], false, bad[2]));
    }
    assertThrows(IllegalArgumentException.class, () -> new PackedLayout(WeightForm.INT4, 3, 8, true, 5));
    assertThrows(IllegalArgumentException.class, () -> new PackedLayout(WeightForm.DENSE, 2, 8, false, 5));
  }
}
