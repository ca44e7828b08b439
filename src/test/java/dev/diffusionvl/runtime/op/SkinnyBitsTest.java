// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

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
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/** What compares the bits of skinny products launched with one workspace and with others. */
abstract class SkinnyBitsTest extends OpTest {
  private static final float EPS = 1e-6f;

  /** The ordinary one. */
  SkinnyWorkspace plain;
  /** Those whose bits must be the same. */
  final List<SkinnyWorkspace> others = new ArrayList<>();

  @BeforeEach
  void openWorkspace() {
    plain = new SkinnyWorkspace(stream, 64, true, false);
  }

  @AfterEach
  void closeWorkspaces() {
    plain.close();
    others.forEach(SkinnyWorkspace::close);
  }

  static DType[] halves() {
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

  /** Launches with a workspace and names all that was written. */
  private interface Launcher {
    List<DeviceBuffer> launch(SkinnyWorkspace workspace);
  }

  private void assertSameBits(String what, Launcher launcher) {
    List<DeviceBuffer> expected = launcher.launch(plain);
    for (SkinnyWorkspace other : others) {
      List<DeviceBuffer> actual = launcher.launch(other);
      for (int i = 0; i < expected.size(); i++) {
        String which = what + ", workspace " + others.indexOf(other) + ", result " + i;
        if (expected.get(i).dtype() == DType.I32) {
          assertArrayEquals(expected.get(i).getInts(stream), actual.get(i).getInts(stream), which);
        } else {
          assertArrayEquals(expected.get(i).getFloats(stream), actual.get(i).getFloats(stream), 0f, which);
        }
      }
    }
  }

  private interface Body {
    void of(String what, DType dtype, WeightMatrix w, int rows);
  }

  /** Every form, type and shape [rows, n, k]: {@code test.of(what, dtype, weights, rows)}. */
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

  private Residual residual(DType dtype, int rows, int width) {
    DeviceBuffer h = buffer(dtype, normal(dtype, rows * width, 2));
    DeviceBuffer squares = empty(DType.F32, (long) rows * RowSquares.groups(width));
    kernels.rowSquares.launch(stream, h, squares, rows, width);
    return new Residual(h, squares);
  }

  private NormedLinear normed(DType dtype, WeightMatrix w, DeviceBuffer bias) {
    return new NormedLinear(buffer(dtype, normal(dtype, w.in(), 1)), EPS, w, bias);
  }

  final void gemm(int[][] shapes) {
    forAll(shapes, false, (what, dtype, w, rows) -> {
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

  /** @param grid of {@link SkinnySplit#over}, or 0: the usual split */
  final void residual(int grid, int[][] shapes) {
    forAll(shapes, false, (what, dtype, w, rows) -> {
      DeviceBuffer x = buffer(dtype, normal(dtype, rows * w.in(), 1));
      float[] h = normal(dtype, rows * w.out(), 2);
      assertSameBits("residual over " + grid + " " + what, workspace -> {
        Residual to = new Residual(buffer(dtype, h), empty(DType.F32, (long) rows * RowSquares.groups(w.out())));
        kernels.skinnyResidual.launch(stream, workspace, x, w, to, rows, split(grid, w, false));
        return List.of(to.rows(), to.squares());
      });
    });
  }

  private static SkinnySplit split(int grid, WeightMatrix w, boolean paired) {
    return grid == 0 ? SkinnySplit.of(w.out(), w.in(), paired) : SkinnySplit.over(grid, w.out(), w.in(), paired);
  }

  /** @param grid as of {@link #residual(int, int[][])} */
  final void swiglu(int grid, int[][] shapes) {
    forAll(shapes, true, (what, dtype, w, rows) -> {
      Residual h = residual(dtype, rows, w.in());
      NormedLinear linear = normed(dtype, w, null);
      assertSameBits("swiglu over " + grid + " " + what, workspace -> {
        DeviceBuffer out = empty(dtype, (long) rows * w.out() / 2);
        kernels.skinnySwiglu.launch(stream, workspace, h, linear, out, rows, split(grid, w, true));
        return List.of(out);
      });
    });
  }

  /** @param shapes rows and k */
  final void qkv(int[][] shapes) {
    int dim = SkinnyQkv.HEAD_DIM;
    Heads heads = new Heads(2, 1, dim);
    int[][] all = Arrays.stream(shapes).map(s -> new int[] {s[0], 4 * dim, s[1]}).toArray(int[][]::new);
    forAll(all, false, (what, dtype, w, rows) -> {
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

  final void confidence(int[][] shapes) {
    forAll(shapes, false, (what, dtype, w, rows) -> {
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

  final float[] product(SkinnyWorkspace workspace, DeviceBuffer x, WeightMatrix w, int rows) {
    DeviceBuffer y = empty(DType.F32, (long) rows * w.out());
    kernels.skinnyGemm.launch(stream, workspace, x, w, y, rows);
    return y.getFloats(stream);
  }
}
