// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.diffusionvl.oracle.ProductOracle;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.Heads;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.NormedLinear;
import dev.diffusionvl.runtime.op.PackedLayout;
import dev.diffusionvl.runtime.op.Predictions;
import dev.diffusionvl.runtime.op.Residual;
import dev.diffusionvl.runtime.op.Rope;
import dev.diffusionvl.runtime.op.RowSquares;
import dev.diffusionvl.runtime.op.Segments;
import dev.diffusionvl.runtime.op.SkinnyConfidence;
import dev.diffusionvl.runtime.op.SkinnyQkv;
import dev.diffusionvl.runtime.op.SkinnySplit;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;
import dev.diffusionvl.runtime.op.WeightForm;
import dev.diffusionvl.runtime.op.WeightMatrix;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Skinny products whose weights come by bulk copies: against float64, and the bits of those that copy by cp.async. */
class SkinnyRingTest extends OpTest {
  /**
   * rows, n, k: ragged everywhere; one block, tiles shared by two, three and four blocks; fewer units than stages, as many, many more; a
   * block that ends one tile and begins the next.
   */
  private static final int[][] SHAPES = {{1, 1, 8}, {3, 17, 72}, {8, 128, 64}, {5, 130, 320}, {8, 200, 520}, {7, 136, 776}, {2, 40, 264},
      {8, 129, 136}, {4, 70, 2056}, {6, 260, 1096}};

  /** Of the fused ones. */
  private static final int[][] SOME = {{1, 1, 8}, {8, 130, 328}, {7, 391, 584}, {4, 70, 2056}};
  private static final float EPS = 1e-6f;

  private SkinnyWorkspace ring;
  private SkinnyWorkspace plain;

  @BeforeEach
  void openWorkspaces() {
    ring = new SkinnyWorkspace(stream, 64, true, true);
    plain = new SkinnyWorkspace(stream, 64, true, false);
    assumeTrue(ring.bulk(), "no bulk copies on this device, or in this build");
  }

  @AfterEach
  void closeWorkspaces() {
    ring.close();
    plain.close();
  }

  private static DType[] halves() {
    return Arrays.stream(FLOATS).filter(d -> d != DType.F32).toArray(DType[]::new);
  }

  /** Weights of a form; int4 with zeros and, where {@code symmetric}, without. */
  private WeightMatrix weights(WeightForm form, DType dtype, int n, int k, boolean paired, boolean symmetric) {
    if (form == WeightForm.DENSE) {
      return new WeightMatrix.Dense(buffer(dtype, normal(dtype, n * k, 0.1)), n, k).mapped(paired);
    }
    PackedLayout layout = new PackedLayout(form, n, k, paired, 5);
    return PackedMatrix.random(random, layout, 0.1, form == WeightForm.INT4 && !symmetric).on(this);
  }

  /** Launches with a workspace and reads all that was written. */
  private interface Launcher {
    List<DeviceBuffer> launch(SkinnyWorkspace workspace);
  }

  private void assertSameBits(String what, Launcher launcher) {
    List<DeviceBuffer> expected = launcher.launch(plain);
    List<DeviceBuffer> actual = launcher.launch(ring);
    for (int i = 0; i < expected.size(); i++) {
      if (expected.get(i).dtype() == DType.I32) {
        assertArrayEquals(expected.get(i).getInts(stream), actual.get(i).getInts(stream), what);
      } else {
        assertArrayEquals(expected.get(i).getFloats(stream), actual.get(i).getFloats(stream), 0f, what);
      }
    }
  }

  /** Every form, type and shape: {@code test.of(what, weights, rows)}. */
  private void forAll(int[][] shapes, boolean paired, Body test) {
    boolean symmetric = false;
    for (DType dtype : halves()) {
      for (WeightForm form : WeightForm.values()) {
        for (int[] shape : shapes) {
          symmetric = !symmetric;
          WeightMatrix w = weights(form, dtype, shape[1], shape[2], paired, symmetric);
          test.of(dtype + " " + form + " " + Arrays.toString(shape), dtype, w, shape[0]);
        }
      }
    }
  }

  private interface Body {
    void of(String what, DType dtype, WeightMatrix w, int rows);
  }

  private Residual residual(DType dtype, int rows, int width) {
    DeviceBuffer h = buffer(dtype, normal(dtype, rows * width, 2));
    DeviceBuffer squares = empty(DType.F32, (long) rows * RowSquares.groups(width));
    kernels.rowSquares.launch(stream, h, squares, rows, width);
    return new Residual(h, squares);
  }

  private NormedLinear normed(DType dtype, WeightMatrix w, DeviceBuffer bias) {
    return new NormedLinear(buffer(dtype, normal(dtype, w.in(), 1)), EPS, w, bias);
  }

  @Test
  void gemm() {
    forAll(SHAPES, false, (what, dtype, w, rows) -> {
      DeviceBuffer x = buffer(dtype, normal(dtype, rows * w.in(), 1));
      for (DType result : new DType[] {DType.F32, dtype}) {
        assertSameBits("gemm " + what, workspace -> {
          DeviceBuffer y = empty(result, (long) rows * w.out());
          kernels.skinnyGemm.launch(stream, workspace, x, w, y, rows);
          return List.of(y);
        });
      }
    });
  }

  @Test
  void residual() {
    forAll(SOME, false, (what, dtype, w, rows) -> {
      DeviceBuffer x = buffer(dtype, normal(dtype, rows * w.in(), 1));
      float[] h = normal(dtype, rows * w.out(), 2);
      assertSameBits("residual " + what, workspace -> {
        Residual to = new Residual(buffer(dtype, h), empty(DType.F32, (long) rows * RowSquares.groups(w.out())));
        kernels.skinnyResidual.launch(stream, workspace, x, w, to, rows);
        return List.of(to.rows(), to.squares());
      });
    });
  }

  /** Blocks with many more units than the ring has stages, as in the released models: every stage is used again and again. */
  @Test
  void manyRoundsOfTheRing() {
    for (int grid : new int[] {1, 2, 3}) {
      forAll(new int[][] {{7, 391, 1000}}, false, (what, dtype, w, rows) -> {
        DeviceBuffer x = buffer(dtype, normal(dtype, rows * w.in(), 1));
        float[] h = normal(dtype, rows * w.out(), 2);
        assertSameBits("residual over " + grid + " " + what, workspace -> {
          Residual to = new Residual(buffer(dtype, h), empty(DType.F32, (long) rows * RowSquares.groups(w.out())));
          kernels.skinnyResidual.launch(stream, workspace, x, w, to, rows, SkinnySplit.over(grid, w.out(), w.in(), false));
          return List.of(to.rows(), to.squares());
        });
      });
      forAll(new int[][] {{8, 260, 1096}}, true, (what, dtype, w, rows) -> {
        Residual h = residual(dtype, rows, w.in());
        NormedLinear linear = normed(dtype, w, null);
        assertSameBits("swiglu over " + grid + " " + what, workspace -> {
          DeviceBuffer out = empty(dtype, (long) rows * w.out() / 2);
          kernels.skinnySwiglu.launch(stream, workspace, h, linear, out, rows, SkinnySplit.over(grid, w.out(), w.in(), true));
          return List.of(out);
        });
      });
    }
  }

  @Test
  void swiglu() {
    forAll(new int[][] {{1, 2, 8}, {8, 126, 136}, {5, 202, 520}, {8, 260, 1096}}, true, (what, dtype, w, rows) -> {
      Residual h = residual(dtype, rows, w.in());
      NormedLinear linear = normed(dtype, w, null);
      assertSameBits("swiglu " + what, workspace -> {
        DeviceBuffer out = empty(dtype, (long) rows * w.out() / 2);
        kernels.skinnySwiglu.launch(stream, workspace, h, linear, out, rows);
        return List.of(out);
      });
    });
  }

  @Test
  void qkv() {
    int dim = SkinnyQkv.HEAD_DIM;
    Heads heads = new Heads(2, 1, dim);
    forAll(new int[][] {{3, 4 * dim, 72}, {8, 4 * dim, 1032}}, false, (what, dtype, w, rows) -> {
      int slots = rows + 5;
      Residual h = residual(dtype, rows, w.in());
      NormedLinear linear = normed(dtype, w, buffer(dtype, normal(dtype, w.out(), 1)));
      float[] angles = normal(DType.F32, slots * dim / 2, 1);
      Rope rope = new Rope(buffer(DType.F32, angles), buffer(DType.F32, angles));
      try (Segments segments = new Segments(device, 1)) {
        segments.add(0, rows, 3, 4, 0, 0, Segments.Own.NONE);
        segments.upload(stream);
        assertSameBits("qkv " + what, workspace -> {
          DeviceBuffer q = empty(dtype, (long) rows * heads.query() * dim);
          KeyValues kv = new KeyValues(empty(dtype, (long) slots * dim), empty(dtype, (long) slots * dim), heads, slots);
          kernels.skinnyQkv.launch(stream, workspace, h, linear, rope, segments, q, kv);
          return List.of(q, kv.keys(), kv.values());
        });
      }
    });
  }

  @Test
  void confidence() {
    forAll(SOME, false, (what, dtype, w, rows) -> {
      Residual h = residual(dtype, rows, w.in());
      NormedLinear linear = normed(dtype, w, null);
      assertSameBits("confidence " + what, workspace -> {
        Predictions to = new Predictions(empty(DType.I32, rows), empty(DType.F32, rows), empty(DType.F32, rows), empty(DType.F32, rows));
        DeviceBuffer parts = empty(DType.F32, SkinnyConfidence.parts(rows, w.out()));
        kernels.skinnyConfidence.launch(stream, workspace, h, linear, parts, to, rows, w.out() > 1 ? 1 : -1);
        return List.of(to.token(), to.probability(), to.rowMax(), to.rowSumExp());
      });
    });
  }

  private float[] product(SkinnyWorkspace workspace, DeviceBuffer x, WeightMatrix w, DType result, int rows) {
    DeviceBuffer y = empty(result, (long) rows * w.out());
    kernels.skinnyGemm.launch(stream, workspace, x, w, y, rows);
    return y.getFloats(stream);
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
        float[] sums = product(ring, dx, dw.mapped(false), DType.F32, rows);
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
      assertArrayEquals(product(plain, x, w, DType.F32, rows), product(ring, x, w, DType.F32, rows), 0f, rows + " rows");
    }
  }

  @Test
  void boxesOfPairsAreRefusedWhereRowsAreUsedOneByOne() {
    DeviceBuffer x = buffer(DType.BF16, new float[64]);
    WeightMatrix w = new WeightMatrix.Dense(buffer(DType.BF16, new float[2 * 64]), 2, 64).mapped(true);
    String message = assertThrows(IllegalArgumentException.class, () -> product(ring, x, w, DType.F32, 1)).getMessage();
    assertTrue(message.contains("in pairs"), message);
  }

  @Test
  void launchesRepeat() {
    int n = 130;
    int k = 1024;
    DeviceBuffer x = buffer(DType.BF16, normal(DType.BF16, 8 * k, 1));
    WeightMatrix w = new WeightMatrix.Dense(buffer(DType.BF16, normal(DType.BF16, n * k, 1)), n, k).mapped(false);
    float[] first = product(ring, x, w, DType.F32, 8);
    assertTrue(first.length > 0);
    for (int i = 0; i < 3; i++) {
      assertArrayEquals(first, product(ring, x, w, DType.F32, 8), 0f);
    }
  }
}
