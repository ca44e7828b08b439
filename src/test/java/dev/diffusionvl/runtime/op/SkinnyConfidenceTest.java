// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.NormOracle;
import dev.diffusionvl.oracle.ProductOracle;
import dev.diffusionvl.oracle.Rounding;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.RowSquares;
import dev.diffusionvl.runtime.op.SkinnyConfidence;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** skinny_confidence: against float64, and bit for bit against rms_norm, skinny_gemm and confidence one after the other, at every M. */
class SkinnyConfidenceTest extends OpTest {
  private static final float EPS = 1e-6f;

  private SkinnyWorkspace workspace;

  @BeforeEach
  void openWorkspace() {
    workspace = new SkinnyWorkspace(stream, 64);
  }

  @AfterEach
  void closeWorkspace() {
    workspace.close();
  }

  /** Token, probability, maximum, sum of exponentials of every row. */
  private record Predicted(int[] token, float[] probability, float[] max, float[] sum) {}

  private interface Predictor {
    void launch(Predictions to);
  }

  private Predicted predict(int rows, Predictor predictor) {
    DeviceBuffer token = empty(DType.I32, rows);
    DeviceBuffer[] f = {empty(DType.F32, rows), empty(DType.F32, rows), empty(DType.F32, rows)};
    predictor.launch(new Predictions(token, f[0], f[1], f[2]));
    return new Predicted(token.getInts(stream), f[0].getFloats(stream), f[1].getFloats(stream), f[2].getFloats(stream));
  }

  private Predicted fused(DType dtype, float[] h, float[] norm, float[] w, int rows, int vocab, int k, int excluded) {
    return fused(dtype, h, norm, w, rows, vocab, k, excluded, null);
  }

  private Predicted fused(DType dtype, float[] h, float[] norm, float[] w, int rows, int vocab, int k, int excluded, DeviceBuffer legal) {
    DeviceBuffer dh = buffer(dtype, h);
    DeviceBuffer squares = empty(DType.F32, (long) rows * RowSquares.groups(k));
    kernels.rowSquares.launch(stream, dh, squares, rows, k);
    DeviceBuffer parts = empty(DType.F32, SkinnyConfidence.parts(rows, vocab));
    return predict(rows, to -> kernels.skinnyConfidence.launch(stream, workspace, new Residual(dh, squares),
        new NormedLinear(buffer(dtype, norm), EPS, buffer(dtype, w), null, vocab, k), parts, to,
        rows, excluded, legal));
  }

  private Predicted plain(DType dtype, float[] h, float[] norm, float[] w, int rows, int vocab, int k, int excluded, DeviceBuffer legal) {
    DeviceBuffer normed = empty(dtype, (long) rows * k);
    DeviceBuffer logits = empty(dtype, (long) rows * vocab);
    kernels.rmsNorm.launch(stream, buffer(dtype, h), buffer(dtype, norm), normed, rows, k, EPS);
    kernels.skinnyGemm.launch(stream, workspace, normed, buffer(dtype, w), logits, rows, vocab, k);
    return predict(rows, to -> kernels.confidence.launch(stream, logits,
        to, rows, vocab, excluded, legal));
  }

  @Test
  void bitForBitThePlainChain() {
    for (DType dtype : FLOATS) {
      for (int[] shape : new int[][] {{1, 8}, {5, 72}, {128, 64}, {130, 264}, {1023, 136}, {4200, 40}}) {
        int vocab = shape[0];
        int k = shape[1];
        float[] w = normal(dtype, vocab * k, 0.3);
        float[] norm = normal(dtype, k, 1);
        for (int rows : vocab > 1000 ? new int[] {3, 17} : new int[] {1, 8, 9, 30, 64, 69, 70}) {
          float[] h = normal(dtype, rows * k, 1);
          int excluded = rows % 2 == 0 ? -1 : vocab / 2;
          String what = "%s %d rows, vocab %d, k %d".formatted(dtype, rows, vocab, k);
          DeviceBuffer legal = rows % 3 == 0 ? legal(randomLegal(rows, vocab, 3), rows) : null;
          Predicted a = plain(dtype, h, norm, w, rows, vocab, k, excluded, legal);
          Predicted b = fused(dtype, h, norm, w, rows, vocab, k, excluded, legal);
          assertArrayEquals(a.token(), b.token(), what);
          assertArrayEquals(a.probability(), b.probability(), 0f, what);
          assertArrayEquals(a.max(), b.max(), 0f, what);
          assertArrayEquals(a.sum(), b.sum(), 0f, what);
        }
      }
    }
  }

  @Test
  void againstFloat64() {
    for (DType dtype : FLOATS) {
      int rows = 11;
      int vocab = 391;
      int k = 200;
      float[] h = normal(dtype, rows * k, 1);
      float[] norm = normal(dtype, k, 1);
      float[] w = normal(dtype, vocab * k, 0.1);
      Predicted own = fused(dtype, h, norm, w, rows, vocab, k, 7);
      Rounding t = Rounding.of(dtype);
      double[] logits = ProductOracle.product(NormOracle.rmsNorm(h, norm, rows, k, EPS, t), w, rows, vocab, k);
      for (int r = 0; r < rows; r++) {
        double max = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < vocab; i++) {
          max = i == 7 ? max : Math.max(max, t.of(logits[r * vocab + i]));
        }
        double sum = 0;
        for (int i = 0; i < vocab; i++) {
          sum += i == 7 ? 0 : Math.exp(t.of(logits[r * vocab + i]) - max);
        }
        String what = dtype + " row " + r;
        double ulp = Math.ulp((float) max) * tolerance(dtype, 65536, 16);
        assertEquals(max, own.max()[r], ulp, what);
        assertEquals(max, t.of(logits[r * vocab + own.token()[r]]), ulp, what);
        assertEquals(sum, own.sum()[r], tolerance(dtype, 2e-2, 1e-4) * sum, what);
        assertEquals(1 / own.sum()[r], own.probability()[r], 1e-6, what);
      }
    }
  }

  @Test
  void tiesGoToTheLowestIdAndTheExcludedIdIsNeverTaken() {
    int k = 64;
    int vocab = 1000;
    float[] w = new float[vocab * k];
    for (int id : new int[] {3, 200, 640, 641, 999}) {
      Arrays.fill(w, id * k, id * k + k, 1f);
    }
    float[] ones = new float[k];
    Arrays.fill(ones, 1f);
    for (DType dtype : FLOATS) {
      assertEquals(3, fused(dtype, ones, ones, w, 1, vocab, k, -1).token()[0]);
      assertEquals(200, fused(dtype, ones, ones, w, 1, vocab, k, 3).token()[0]);
    }
  }

  @Test
  void notANumberMakesTheRowsProbabilityNotANumber() {
    int k = 64;
    for (DType dtype : FLOATS) {
      float[] h = normal(dtype, 9 * k, 1);
      h[4 * k + 9] = Float.NaN;
      Predicted own = fused(dtype, h, normal(dtype, k, 1), normal(dtype, 300 * k, 1), 9, 300, k, -1);
      for (int r = 0; r < 9; r++) {
        assertEquals(r == 4, Float.isNaN(own.probability()[r]), "row " + r);
      }
      assertTrue(own.token()[4] >= 0 && own.token()[4] < 300);
    }
  }
}
