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
import dev.diffusionvl.runtime.op.SkinnySplit;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** skinny_gemm against float64 over ragged shapes, and the same bits of a row at every number of rows. */
class SkinnyGemmTest extends OpTest {
  /** rows, n, k: ragged everywhere, one block, tiles shared by two, three and four blocks, several tiles and chunks. */
  private static final int[][] SHAPES = {{1, 1, 8}, {3, 17, 72}, {8, 128, 64}, {5, 130, 320}, {9, 200, 520}, {16, 136, 776}, {31, 40, 264},
      {64, 129, 136}, {70, 24, 96}};

  private SkinnyWorkspace workspace;

  @BeforeEach
  void openWorkspace() {
    workspace = new SkinnyWorkspace(stream, 64);
  }

  @AfterEach
  void closeWorkspace() {
    workspace.close();
  }

  private float[] product(DeviceBuffer x, DeviceBuffer w, DType result, int rows, int n, int k) {
    DeviceBuffer y = empty(result, (long) rows * n);
    kernels.skinnyGemm.launch(stream, workspace, x, w, y, rows, n, k);
    return y.getFloats(stream);
  }

  @Test
  void againstFloat64() {
    for (DType dtype : FLOATS) {
      for (int[] shape : SHAPES) {
        int rows = shape[0];
        int n = shape[1];
        int k = shape[2];
        float[] x = normal(dtype, rows * k, 1);
        float[] w = normal(dtype, n * k, 0.1);
        double[] expected = ProductOracle.product(x, w, rows, n, k);
        String what = "skinny_gemm " + dtype + " " + Arrays.toString(shape);
        DeviceBuffer dx = buffer(dtype, x);
        DeviceBuffer dw = buffer(dtype, w);
        float[] sums = product(dx, dw, DType.F32, rows, n, k);
        assertRows(what, expected, sums, rows, 2e-6);
        float[] rounded = product(dx, dw, dtype, rows, n, k);
        for (int i = 0; i < sums.length; i++) {
          float once = (float) Rounding.of(dtype).of(sums[i]);
          assertEquals(once, rounded[i], 0f, what);
        }
      }
    }
  }

  @Test
  void aRowHasTheSameBitsAtEveryNumberOfRows() {
    for (DType dtype : FLOATS) {
      int n = 150;
      int k = 584; // ten chunks, the last one ragged: three blocks per tile
      float[] all = normal(dtype, 64 * k, 1);
      DeviceBuffer w = buffer(dtype, normal(dtype, n * k, 1));
      DeviceBuffer x = buffer(dtype, all);
      float[] expected = product(x, w, DType.F32, 64, n, k);
      for (int rows : SMALL ? new int[] {1, 9, 20, 33} : new int[] {1, 8, 9, 16, 20, 32, 33, 64}) {
        // the last rows: they change their place, their M and their neighbours
        float[] some = product(x.slice((64L - rows) * k, (long) rows * k), w, DType.F32, rows, n, k);
        assertArrayEquals(Arrays.copyOfRange(expected, (64 - rows) * n, 64 * n), some, 0f, dtype + ", " + rows + " rows");
      }
    }
  }

  @Test
  void moreThan64RowsGoInPieces() {
    for (DType dtype : FLOATS) {
      int n = 20;
      int k = 72;
      DeviceBuffer w = buffer(dtype, normal(dtype, n * k, 1));
      DeviceBuffer x = buffer(dtype, normal(dtype, 133 * k, 1));
      float[] all = product(x, w, DType.F32, 133, n, k);
      assertArrayEquals(product(x.slice(130L * k, 3L * k), w, DType.F32, 3, n, k), Arrays.copyOfRange(all, 130 * n, 133 * n), 0f);
    }
  }

  @Test
  void writesItsRowsAndNothingElse() {
    for (DType dtype : FLOATS) {
      int n = 131;
      int k = 520;
      DeviceBuffer x = buffer(dtype, normal(dtype, 5 * k, 1));
      DeviceBuffer w = buffer(dtype, normal(dtype, n * k, 1));
      DeviceBuffer y = empty(dtype, 7L * n); // NaN
      kernels.skinnyGemm.launch(stream, workspace, x, w, y.slice(n, 5L * n), 5, n, k);
      float[] values = y.getFloats(stream);
      for (int i = 0; i < values.length; i++) {
        assertEquals(i < n || i >= 6 * n, Float.isNaN(values[i]), dtype + " element " + i);
      }
    }
  }

  @Test
  void launchesRepeat() { // the arrival counters go back to zero by themselves
    int n = 130;
    int k = 1024;
    DeviceBuffer x = buffer(DType.BF16, normal(DType.BF16, 8 * k, 1));
    DeviceBuffer w = buffer(DType.BF16, normal(DType.BF16, n * k, 1));
    float[] first = product(x, w, DType.F32, 8, n, k);
    for (int i = 0; i < 3; i++) {
      assertArrayEquals(first, product(x, w, DType.F32, 8, n, k), 0f);
    }
  }

  @Test
  void notANumberStaysInItsRow() {
    for (DType dtype : FLOATS) {
      float[] x = normal(dtype, 8 * 64, 1);
      x[3 * 64 + 17] = Float.NaN;
      float[] y = product(buffer(dtype, x), buffer(dtype, normal(dtype, 10 * 64, 1)), dtype, 8, 10, 64);
      for (int i = 0; i < y.length; i++) {
        assertEquals(i / 10 == 3, Float.isNaN(y[i]), "element " + i);
      }
    }
  }

  /** The shapes of the released models: all blocks busy, no more blocks than the workspace has places for. */
  @Test
  void splitsOfTheReleasedModels() {
    int[][] shapes = {{4608, 3584, 0}, {3584, 3584, 0}, {37888, 3584, 1}, {3584, 18944, 0}, {152064, 3584, 0}, // 7B
        {2560, 2048, 0}, {2048, 2048, 0}, {22016, 2048, 1}, {2048, 11008, 0}, {151936, 2048, 0}, // 3B
        {512, 256, 0}, {256, 768, 0}, {1, 8, 0}, {2, 8, 1}};
    for (int[] shape : shapes) {
      SkinnySplit split = SkinnySplit.of(shape[0], shape[1], shape[2] == 1);
      int units = split.tiles() * split.chunks();
      String what = Arrays.toString(shape) + " " + split;
      assertTrue(split.blocks() >= 1 && split.blocks() <= 264, what);
      assertTrue((long) split.span() * split.blocks() >= units && (long) split.span() * (split.blocks() - 1) < units, what);
      if (units > 1000) {
        int grid = split.blocks() > 132 ? 264 : 132;
        assertTrue(units >= 0.93 * split.span() * grid, what + ": blocks idle in the last round");
      }
    }
  }

  @Test
  void refusals() {
    DeviceBuffer x = buffer(DType.BF16, new float[64]);
    DeviceBuffer y = empty(DType.F32, 64);
    for (var launch : new Runnable[] {
      () -> kernels.skinnyGemm.launch(stream, workspace, x, x, y, 1, 1, 12),
      () -> kernels.skinnyGemm.launch(stream, workspace, x.slice(1, 8), x, y, 1, 1, 8),
      () -> kernels.skinnyGemm.launch(stream, workspace, x, x.slice(4, 8), y, 1, 1, 8)}) {
      String message = assertThrows(IllegalArgumentException.class, launch::run).getMessage();
      assertTrue(message.startsWith("skinny_gemm: ") && (message.contains("multiple of 8") || message.contains("16 bytes")), message);
    }
    try (SkinnyWorkspace small = new SkinnyWorkspace(stream, 8)) {
      DeviceBuffer big = buffer(DType.BF16, new float[9 * 8]);
      assertThrows(IllegalArgumentException.class, () -> kernels.skinnyGemm.launch(stream, small, big, x, y, 9, 1, 8));
    }
  }
}
