// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.ElementwiseOracle;
import dev.diffusionvl.oracle.NormOracle;
import dev.diffusionvl.oracle.ProductOracle;
import dev.diffusionvl.oracle.RotaryOracle;
import dev.diffusionvl.oracle.Rounding;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.RowSquares;
import dev.diffusionvl.runtime.op.Segments;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * The fused products skinny_qkv, skinny_residual and skinny_swiglu, and row_squares: against float64, and bit for bit against the chain of
 * plain kernels that they replace, at every M.
 */
class SkinnyFusedTest extends OpTest {
  private static final float EPS = 1e-6f;
  private static final int DIM = 128;
  /** Rows of every instance, ragged, and of more than one launch. */
  private static final int[] ROWS = SMALL ? new int[] {3, 16, 27, 70} : new int[] {1, 3, 8, 13, 16, 27, 33, 70};

  private SkinnyWorkspace workspace;

  @BeforeEach
  void openWorkspace() {
    workspace = new SkinnyWorkspace(stream, 64);
  }

  @AfterEach
  void closeWorkspace() {
    workspace.close();
  }

  private DeviceBuffer squares(DeviceBuffer x, int rows, int width) {
    DeviceBuffer squares = empty(DType.F32, (long) rows * RowSquares.groups(width));
    kernels.rowSquares.launch(stream, x, squares, rows, width);
    return squares;
  }

  /** The plain chain's norm and product: f32 sums. */
  private DeviceBuffer normedProduct(DType dtype, DeviceBuffer h, DeviceBuffer norm, DeviceBuffer w, int rows, int n, int k) {
    DeviceBuffer normed = empty(dtype, (long) rows * k);
    DeviceBuffer sums = empty(DType.F32, (long) rows * n);
    kernels.rmsNorm.launch(stream, h, norm, normed, rows, k, EPS);
    kernels.skinnyGemm.launch(stream, workspace, normed, w, sums, rows, n, k);
    return sums;
  }

  private static double[] normedOracle(float[] h, float[] norm, float[] w, int rows, int n, int k, Rounding t) {
    return ProductOracle.product(NormOracle.rmsNorm(h, norm, rows, k, EPS, t), w, rows, n, k);
  }

  private static float[] floats(double[] values) {
    float[] narrow = new float[values.length];
    for (int i = 0; i < narrow.length; i++) {
      narrow[i] = (float) values[i];
    }
    return narrow;
  }

  private static double tolerance(DType dtype) {
    return tolerance(dtype, 5e-3, 1e-5);
  }

  @Test
  void rowSquares() {
    for (DType dtype : FLOATS) {
      for (int width : new int[] {1, 7, 128, 130, 520, 4103}) {
        int rows = 3;
        float[] x = normal(dtype, rows * width, 3);
        int groups = RowSquares.groups(width);
        double[] expected = new double[rows * groups];
        for (int i = 0; i < x.length; i++) {
          expected[i / width * groups + i % width / 128] += (double) x[i] * x[i];
        }
        assertRows("row_squares " + dtype + " " + width, expected, squares(buffer(dtype, x), rows, width).getFloats(stream), rows, 1e-6);
      }
    }
  }

  @Test
  void residual() {
    for (DType dtype : FLOATS) {
      for (int[] shape : new int[][] {{1, 8}, {130, 264}, {200, 584}, {33, 72}}) {
        int n = shape[0];
        int k = shape[1];
        float[] w = normal(dtype, n * k, 0.2);
        DeviceBuffer dw = buffer(dtype, w);
        for (int rows : ROWS) {
          String what = "skinny_residual " + dtype + " " + rows + " rows, " + Arrays.toString(shape);
          float[] x = normal(dtype, rows * k, 1);
          float[] h = normal(dtype, rows * n, 2);
          DeviceBuffer dx = buffer(dtype, x);
          DeviceBuffer fused = buffer(dtype, h);
          DeviceBuffer sumsOfSquares = empty(DType.F32, (long) rows * RowSquares.groups(n));
          kernels.skinnyResidual.launch(stream, workspace, dx, dw, new Residual(fused, sumsOfSquares), rows, n, k);
          DeviceBuffer sums = empty(DType.F32, (long) rows * n);
          DeviceBuffer plain = buffer(dtype, h);
          kernels.skinnyGemm.launch(stream, workspace, dx, dw, sums, rows, n, k);
          kernels.residualAdd.launch(stream, plain, sums, null, rows, n);
          assertArrayEquals(plain.getFloats(stream), fused.getFloats(stream), 0f, what);
          assertArrayEquals(squares(plain, rows, n).getFloats(stream), sumsOfSquares.getFloats(stream), 0f, what);
          float[] product = floats(ProductOracle.product(x, w, rows, n, k));
          assertRows(what, ElementwiseOracle.residual(h, product, null, rows, n, Rounding.of(dtype)), fused.getFloats(stream), rows,
              tolerance(dtype));
        }
      }
    }
  }

  @Test
  void swiglu() {
    for (DType dtype : FLOATS) {
      for (int[] shape : new int[][] {{1, 8}, {63, 136}, {64, 264}, {101, 520}}) {
        int inter = shape[0];
        int k = shape[1];
        float[] w = normal(dtype, 2 * inter * k, 0.1);
        float[] norm = normal(dtype, k, 1);
        DeviceBuffer dw = buffer(dtype, w);
        DeviceBuffer dnorm = buffer(dtype, norm);
        for (int rows : ROWS) {
          String what = "skinny_swiglu " + dtype + " " + rows + " rows, " + Arrays.toString(shape);
          float[] h = normal(dtype, rows * k, 3);
          DeviceBuffer dh = buffer(dtype, h);
          DeviceBuffer fused = empty(dtype, (long) rows * inter);
          kernels.skinnySwiglu.launch(stream, workspace, new Residual(dh, squares(dh, rows, k)),
              new NormedLinear(dnorm, EPS, dw, null, 2 * inter, k), fused, rows);
          DeviceBuffer plain = empty(dtype, (long) rows * inter);
          DeviceBuffer sumsInTiles = normedProduct(dtype, dh, dnorm, buffer(dtype, inTiles(w, inter, k)), rows, tiled(inter), k);
          float[] sums = outOfTiles(sumsInTiles.getFloats(stream), rows, inter);
          kernels.swiglu.launch(stream, buffer(DType.F32, sums), null, plain, rows, inter);
          assertArrayEquals(plain.getFloats(stream), fused.getFloats(stream), 0f, what);
          float[] expectedSums = floats(normedOracle(h, norm, w, rows, 2 * inter, k, Rounding.of(dtype)));
          assertRows(what, ElementwiseOracle.swiglu(expectedSums, null, rows, inter, Rounding.of(dtype)), fused.getFloats(stream), rows,
              2 * tolerance(dtype));
        }
      }
    }
  }

  /** Rows of w when every tile has 64 rows of gate and the same 64 of up. */
  private static int tiled(int inter) {
    return (inter + 63) / 64 * 128;
  }

  private static int tiledRow(int row, int inter) {
    return row % inter / 64 * 128 + row / inter * 64 + row % inter % 64;
  }

  /** Gate and up in the kernel's order of tiles, where the plain product adds up in the same order too. */
  private static float[] inTiles(float[] w, int inter, int k) {
    float[] ordered = new float[tiled(inter) * k];
    for (int row = 0; row < 2 * inter; row++) {
      System.arraycopy(w, row * k, ordered, tiledRow(row, inter) * k, k);
    }
    return ordered;
  }

  private static float[] outOfTiles(float[] sums, int rows, int inter) {
    float[] ordered = new float[rows * 2 * inter];
    for (int i = 0; i < ordered.length; i++) {
      ordered[i] = sums[i / (2 * inter) * tiled(inter) + tiledRow(i % (2 * inter), inter)];
    }
    return ordered;
  }

  @Test
  void qkv() {
    for (DType dtype : FLOATS) {
      for (int[] shape : new int[][] {{2, 1, 72}, {3, 1, 264}}) {
        for (int rows : ROWS) {
          qkvCase(dtype, shape[0], shape[1], shape[2], rows, rows % 2 == 0);
        }
      }
    }
  }

  private void qkvCase(DType dtype, int heads, int kvHeads, int k, int rows, boolean biased) {
    String what = "skinny_qkv %s: %d heads, %d kv heads, k %d, %d rows".formatted(dtype, heads, kvHeads, k, rows);
    int n = (heads + 2 * kvHeads) * DIM;
    int slots = rows + 20;
    int positions = rows + 40;
    float[] h = normal(dtype, rows * k, 2);
    float[] norm = normal(dtype, k, 1);
    float[] w = normal(dtype, n * k, 0.1);
    float[] bias = biased ? normal(dtype, n, 1) : null;
    float[] cos = normal(DType.F32, positions * DIM / 2, 1);
    float[] sin = normal(DType.F32, positions * DIM / 2, 1);
    DeviceBuffer dh = buffer(dtype, h);
    DeviceBuffer dnorm = buffer(dtype, norm);
    DeviceBuffer dw = buffer(dtype, w);
    DeviceBuffer dbias = optional(dtype, bias);
    DeviceBuffer dcos = buffer(DType.F32, cos);
    DeviceBuffer dsin = buffer(DType.F32, sin);
    DeviceBuffer[][] out = new DeviceBuffer[2][];
    for (int i = 0; i < 2; i++) {
      out[i] = new DeviceBuffer[] {empty(dtype, (long) rows * heads * DIM), empty(dtype, (long) kvHeads * slots * DIM),
          empty(dtype, (long) kvHeads * slots * DIM)};
    }
    try (Segments segments = new Segments(device, 70)) {
      // Segments of 1, 2, 3, ... rows, out of order: positions and slots run against the rows.
      for (int row = 0, size = 1; row < rows; row += size++) {
        int count = Math.min(size, rows - row);
        segments.add(row, count, positions - row - count, slots - row - count, 0, 0, Segments.Own.NONE);
      }
      segments.upload(stream);
      kernels.skinnyQkv.launch(stream, workspace, new Residual(dh, squares(dh, rows, k)),
          new NormedLinear(dnorm, EPS, dw, dbias, (heads + 2 * kvHeads) * SkinnyQkv.HEAD_DIM, k), new Rope(dcos, dsin), segments, out[0][0],
          new KeyValues(out[0][1], out[0][2], new Heads(heads, kvHeads, SkinnyQkv.HEAD_DIM), slots));
      kernels.ropeKvAppend.launch(stream, normedProduct(dtype, dh, dnorm, dw, rows, n, k), dbias, new Rope(dcos, dsin), segments, out[1][0],
          new KeyValues(out[1][1], out[1][2], new Heads(heads, kvHeads, DIM), slots));
    }
    float[] q = out[0][0].getFloats(stream);
    float[] keys = out[0][1].getFloats(stream);
    assertArrayEquals(out[1][0].getFloats(stream), q, 0f, what);
    assertArrayEquals(out[1][1].getFloats(stream), keys, 0f, what); // NaN where no row belongs, in both
    assertArrayEquals(out[1][2].getFloats(stream), out[0][2].getFloats(stream), 0f, what);
    // Row 0 is alone in its segment: at the end of positions and slots.
    Rounding t = Rounding.of(dtype);
    double[] x = RotaryOracle.linear(floats(normedOracle(Arrays.copyOf(h, k), norm, w, 1, n, k, t)), bias, n, t);
    for (int head = 0; head < heads + kvHeads; head++) {
      double[] expected = RotaryOracle.text(x, head * DIM, DIM, cos, sin, positions - 1, t);
      int at = head < heads ? head * DIM : ((head - heads) * slots + slots - 1) * DIM;
      float[] actual = Arrays.copyOfRange(head < heads ? q : keys, at, at + DIM);
      assertRows(what, expected, actual, 1, 2 * tolerance(dtype));
    }
  }

  @Test
  void noRowsIsNoWork() {
    DeviceBuffer x = buffer(DType.BF16, new float[64]);
    DeviceBuffer y = empty(DType.BF16, 64);
    DeviceBuffer f = empty(DType.F32, 8);
    kernels.rowSquares.launch(stream, x, f, 0, 8);
    kernels.skinnyGemm.launch(stream, workspace, x, x, y, 0, 1, 8);
    kernels.skinnyResidual.launch(stream, workspace, x, x, new Residual(y, f), 0, 1, 8);
    kernels.skinnySwiglu.launch(stream, workspace, new Residual(x, f), new NormedLinear(x, EPS, x, null, 2 * 1, 8), y, 0);
    kernels.skinnyConfidence.launch(stream, workspace, new Residual(x, f), new NormedLinear(x, EPS, x, null, 1, 8), f,
        new Predictions(ints(5), f, f, f), 0, -1);
    for (DeviceBuffer untouched : new DeviceBuffer[] {y, f}) {
      for (float value : untouched.getFloats(stream)) {
        assertTrue(Float.isNaN(value));
      }
    }
  }

  @Test
  void aRowOfNoSegmentIsNotWritten() {
    int k = 64;
    DeviceBuffer h = buffer(DType.BF16, normal(DType.BF16, 6 * k, 1));
    DeviceBuffer w = buffer(DType.BF16, normal(DType.BF16, 3 * DIM * k, 1));
    DeviceBuffer table = buffer(DType.F32, normal(DType.F32, 10 * DIM / 2, 1));
    DeviceBuffer q = empty(DType.BF16, 6 * DIM);
    DeviceBuffer cache = empty(DType.BF16, 2L * 9 * DIM);
    try (Segments segments = new Segments(device, 2)) {
      segments.add(0, 2, 0, 0, 0, 0, Segments.Own.NONE);
      segments.add(4, 2, 2, 7, 0, 0, Segments.Own.NONE);
      segments.upload(stream);
      kernels.skinnyQkv.launch(stream, workspace, new Residual(h, squares(h, 6, k)),
          new NormedLinear(buffer(DType.BF16, normal(DType.BF16, k, 1)), EPS, w, null, (1 + 2 * 1) * SkinnyQkv.HEAD_DIM, k),
          new Rope(table, table), segments, q,
          new KeyValues(cache.slice(0, 9 * DIM), cache.slice(9 * DIM, 9 * DIM), new Heads(1, 1, SkinnyQkv.HEAD_DIM), 9));
    }
    float[] values = q.getFloats(stream);
    float[] slots = cache.getFloats(stream);
    for (int row = 0; row < 6; row++) {
      assertEquals(row == 2 || row == 3, Float.isNaN(values[row * DIM + 5]), "row " + row);
    }
    for (int slot = 0; slot < 18; slot++) {
      assertEquals(slot % 9 >= 2 && slot % 9 < 7, Float.isNaN(slots[slot * DIM + 100]), "slot " + slot);
    }
  }
}
