// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.diffusionvl.oracle.ProductOracle;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;
import dev.diffusionvl.runtime.op.WeightMatrix;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Skinny products whose weights come by bulk copies: against float64, and the bits of those that copy by cp.async. */
class SkinnyRingTest extends SkinnyBitsTest {
  /**
   * rows, n, k: ragged everywhere; one block, tiles shared by two, three and four blocks; fewer units than stages, as many, many more; a
   * block that ends one tile and begins the next.
   */
  private static final int[][] SHAPES = {{1, 1, 8}, {3, 17, 72}, {8, 128, 64}, {5, 130, 320}, {8, 200, 520}, {7, 136, 776}, {2, 40, 264},
      {8, 129, 136}, {4, 70, 2056}, {6, 260, 1096}};

  /** Of the fused ones. */
  private static final int[][] SOME = {{1, 1, 8}, {8, 130, 328}, {7, 391, 584}, {4, 70, 2056}};

  private SkinnyWorkspace ring;

  @BeforeEach
  void openRing() {
    ring = new SkinnyWorkspace(stream, 64, true, true);
    others.add(ring);
    assumeTrue(ring.bulk(), "no bulk copies on this device, or in this build");
  }

  @Test
  void gemm() {
    gemm(SHAPES);
  }

  @Test
  void residual() {
    residual(0, SOME);
  }

  /** Blocks with many more units than the ring has stages, as in the released models: every stage is used again and again. */
  @Test
  void manyRoundsOfTheRing() {
    for (int grid : new int[] {1, 2, 3}) {
      residual(grid, new int[][] {{7, 391, 1000}});
      swiglu(grid, new int[][] {{8, 260, 1096}});
    }
  }

  @Test
  void swiglu() {
    swiglu(0, new int[][] {{1, 2, 8}, {8, 126, 136}, {5, 202, 520}, {8, 260, 1096}});
  }

  @Test
  void qkv() {
    qkv(new int[][] {{3, 72}, {8, 1032}});
  }

  @Test
  void confidence() {
    confidence(SOME);
  }

  @Test
  void againstFloat64() {
    for (DType dtype : halves()) {
      for (int[] shape : SHAPES) {
        int rows = shape[0];
        int n = shape[1];
        int k = shape[2];
        String what = dtype + " " + Arrays.toString(shape);
        float[] x = normal(dtype, rows * k, 1);
        float[] w = normal(dtype, n * k, 0.1);
        DeviceBuffer dx = buffer(dtype, x);
        WeightMatrix dw = new WeightMatrix.Dense(buffer(dtype, w), n, k);
        float[] sums = product(ring, dx, dw.mapped(false), rows);
        assertRows(what, ProductOracle.product(x, w, rows, n, k), sums, rows, 2e-6);
      }
    }
  }

  @Test
  void moreRowsThanItIsMadeFor() {
    int n = 130;
    int k = 328;
    DeviceBuffer x = buffer(DType.BF16, normal(DType.BF16, 72 * k, 1));
    WeightMatrix w = new WeightMatrix.Dense(buffer(DType.BF16, normal(DType.BF16, n * k, 1)), n, k).mapped(false);
    for (int rows : new int[] {9, 72}) { // 72: 64 without, 8 with bulk copies
      assertArrayEquals(product(plain, x, w, rows), product(ring, x, w, rows), 0f, rows + " rows");
    }
  }

  @Test
  void boxesOfPairsAreRefusedWhereRowsAreUsedOneByOne() {
    DeviceBuffer x = buffer(DType.BF16, new float[64]);
    WeightMatrix w = new WeightMatrix.Dense(buffer(DType.BF16, new float[2 * 64]), 2, 64).mapped(true);
    String message = assertThrows(IllegalArgumentException.class, () -> product(ring, x, w, 1)).getMessage();
    assertTrue(message.contains("in pairs"), message);
  }

  @Test
  void launchesRepeat() {
    int n = 130;
    int k = 1024;
    DeviceBuffer x = buffer(DType.BF16, normal(DType.BF16, 8 * k, 1));
    WeightMatrix w = new WeightMatrix.Dense(buffer(DType.BF16, normal(DType.BF16, n * k, 1)), n, k).mapped(false);
    float[] first = product(ring, x, w, 8);
    assertTrue(first.length > 0);
    for (int i = 0; i < 3; i++) {
      assertArrayEquals(first, product(ring, x, w, 8), 0f);
    }
  }
}
