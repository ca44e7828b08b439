// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.BackwardOracle;
import dev.diffusionvl.oracle.Rounding;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.Arrays;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.Test;

/** Backward kernels of rows: norms, SwiGLU, activations, rotation, cross-entropy, sums and scattered rows. */
class BackwardOpsTest extends OpTest {
  private static final int[][] SHAPES = {{1, 1}, {2, 7}, {3, 8}, {5, 160}, {9, 256}, {1, 1029}, {130, 37}, {4, 2048}, {259, 40}, {3, 4103}};

  private static double tolerance(DType dtype) {
    return tolerance(dtype, 4e-3, 3e-6);
  }

  /** All rows are one row: the norm of small rows says little where parts cancel. */
  private void assertAll(String what, double[] expected, float[] actual, double tolerance) {
    assertRows(what, expected, actual, 1, tolerance);
  }

  private double[] sum(double[] a, float[] b) {
    double[] sum = new double[a.length];
    Arrays.setAll(sum, i -> a[i] + b[i]);
    return sum;
  }

  @Test
  void columnSum() {
    for (DType dtype : TRAINED) {
      for (int[] shape : SHAPES) {
        float[] x = normal(dtype, shape[0] * shape[1], 1);
        float[] before = normal(DType.F32, shape[1], 1);
        DeviceBuffer sum = buffer(DType.F32, before);
        kernels.columnSum.launch(stream, buffer(dtype, x), sum, shape[0], shape[1]);
        double[] expected = sum(new double[shape[1]], before);
        for (int i = 0; i < x.length; i++) {
          expected[i % shape[1]] += x[i];
        }
        assertAll("column_sum " + dtype + Arrays.toString(shape), expected, sum.getFloats(stream), 1e-6);
      }
    }
  }

  @Test
  void columnSumOfNoRowsAddsNothing() {
    DeviceBuffer sum = buffer(DType.F32, 3, 4);
    kernels.columnSum.launch(stream, buffer(DType.F32, 1, 2), sum, 0, 2);
    assertArrayEquals(new float[] {3, 4}, sum.getFloats(stream));
  }

  @Test
  void rmsNorm() {
    for (DType dtype : TRAINED) {
      for (int[] shape : SHAPES) {
        int n = shape[0] * shape[1];
        float[] x = normal(dtype, n, 3);
        float[] weight = normal(dtype, shape[1], 1);
        float[] dy = normal(dtype, n, 1);
        float[] bypass = normal(dtype, n, 1);
        float[] before = normal(DType.F32, shape[1], 1);
        DeviceBuffer dx = buffer(dtype, bypass);
        DeviceBuffer dw = buffer(DType.F32, before);
        kernels.rmsNormBackward.launch(stream, buffer(dtype, x), buffer(dtype, weight), buffer(dtype, dy), dx, dw,
            empty(DType.F32, RmsNormBackward.scratch(shape[0], shape[1])), shape[0], shape[1], 1e-6f);
        BackwardOracle.Norm expected = BackwardOracle.rmsNorm(x, weight, dy, shape[0], shape[1], 1e-6f);
        String what = "rms_norm_backward " + dtype + Arrays.toString(shape);
        assertAll(what + " dx", sum(expected.input(), bypass), dx.getFloats(stream), tolerance(dtype));
        assertAll(what + " dw", sum(expected.parameters(), before), dw.getFloats(stream), 3e-6);
      }
    }
  }

  @Test
  void layerNorm() {
    for (DType dtype : TRAINED) {
      for (int[] shape : SHAPES) {
        if (shape[1] == 1) {
          continue; // the variance of one number is 0
        }
        int n = shape[0] * shape[1];
        float[] x = normal(dtype, n, 3);
        float[] weight = normal(dtype, shape[1], 1);
        float[] dy = normal(dtype, n, 1);
        float[] bypass = normal(dtype, n, 1);
        float[] before = normal(DType.F32, 2 * shape[1], 1);
        DeviceBuffer dx = buffer(dtype, bypass);
        DeviceBuffer parameters = buffer(DType.F32, before);
        kernels.layerNormBackward.launch(stream, buffer(dtype, x), buffer(dtype, weight), buffer(dtype, dy), dx,
            parameters.slice(0, shape[1]), parameters.slice(shape[1], shape[1]),
            empty(DType.F32, LayerNormBackward.scratch(shape[0], shape[1])), shape[0], shape[1], 1e-6f);
        BackwardOracle.Norm expected = BackwardOracle.layerNorm(x, weight, dy, shape[0], shape[1], 1e-6f);
        String what = "layer_norm_backward " + dtype + Arrays.toString(shape);
        assertAll(what + " dx", sum(expected.input(), bypass), dx.getFloats(stream), tolerance(dtype));
        assertAll(what + " parameters", sum(expected.parameters(), before), parameters.getFloats(stream), 5e-6);
      }
    }
  }

  @Test
  void swiglu() {
    for (DType dtype : TRAINED) {
      for (int[] shape : SHAPES) {
        float[] gateUp = normal(dtype, shape[0] * 2 * shape[1], 3);
        float[] dOut = normal(dtype, shape[0] * shape[1], 1);
        double[] expected = BackwardOracle.swiglu(gateUp, dOut, shape[0], shape[1]);
        DeviceBuffer gradient = buffer(dtype, gateUp); // in place
        kernels.swigluBackward.launch(stream, gradient, buffer(dtype, dOut), gradient, shape[0], shape[1]);
        assertAll("swiglu_backward " + dtype + Arrays.toString(shape), expected, gradient.getFloats(stream), tolerance(dtype));
      }
    }
  }

  @Test
  void swigluOfExtremeGatesIsFinite() {
    DeviceBuffer gradient = empty(DType.F32, 4);
    kernels.swigluBackward.launch(stream, buffer(DType.F32, -1000f, 1000f, 2f, 2f), buffer(DType.F32, 1f, 1f), gradient, 1, 2);
    assertArrayEquals(new float[] {0f, 2f, 0f, 1000f}, gradient.getFloats(stream), 1e-6f);
  }

  @Test
  void activations() {
    DoubleUnaryOperator tanh = x -> 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
    DoubleUnaryOperator erf = BackwardOpsTest::geluErf;
    for (DType dtype : TRAINED) {
      for (int n : new int[] {1, 7, 64, 1029, 4100}) {
        for (int activation : new int[] {BiasActivation.GELU_ERF, BiasActivation.GELU_TANH}) {
          float[] x = normal(dtype, n, 2);
          float[] dy = normal(dtype, n, 1);
          double[] expected = new double[n];
          Arrays.setAll(expected, i -> dy[i] * BackwardOracle.slope(activation == BiasActivation.GELU_ERF ? erf : tanh, x[i]));
          DeviceBuffer dx = buffer(dtype, dy);
          kernels.activationBackward.launch(stream, buffer(dtype, x), dx, dx, n, activation);
          assertAll("activation_backward " + dtype + n, expected, dx.getFloats(stream), tolerance(dtype));
        }
      }
    }
  }

  /** x Φ(x), the normal distribution by its Taylor series. */
  private static double geluErf(double x) {
    double term = x;
    double sum = x;
    for (int i = 3; Math.abs(term) > 1e-18 * Math.abs(sum); i += 2) {
      term *= x * x / i;
      sum += term;
    }
    return x * (0.5 + sum * Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI));
  }

  @Test
  void rotationTurnsBack() {
    int heads = 3;
    int kvHeads = 1;
    int dim = 80;
    int rows = 11;
    int slots = 13;
    for (DType dtype : TRAINED) {
      for (boolean rotated : new boolean[] {true, false}) {
        float[] angles = normal(DType.F32, 30 * dim / 2, 1);
        float[] cos = new float[angles.length];
        float[] sin = new float[angles.length];
        for (int i = 0; i < angles.length; i++) {
          cos[i] = (float) Math.cos(angles[i]);
          sin[i] = (float) Math.sin(angles[i]);
        }
        float[] dq = normal(dtype, rows * heads * dim, 1);
        float[] dk = normal(dtype, kvHeads * slots * dim, 1);
        float[] dv = normal(dtype, kvHeads * slots * dim, 1);
        int width = (heads + 2 * kvHeads) * dim;
        DeviceBuffer gradient = empty(dtype, (long) rows * width);
        try (Segments segments = new Segments(device, 2)) {
          segments.add(0, 4, 7, 1, 0, 0, Segments.Own.NONE);
          segments.add(4, 7, 20, 5, 0, 0, Segments.Own.NONE);
          segments.upload(stream);
          kernels.ropeBackward.launch(stream, buffer(dtype, dq),
              new KeyValues(buffer(dtype, dk), buffer(dtype, dv), new Heads(heads, kvHeads, dim), slots),
              rotated ? new Rope(buffer(DType.F32, cos), buffer(DType.F32, sin)) : null, segments, gradient);
        }
        double[] expected = new double[rows * width];
        for (int r = 0; r < rows; r++) {
          int position = r < 4 ? 7 + r : 20 + r - 4;
          int slot = 1 + r;
          for (int head = 0; head < heads + 2 * kvHeads; head++) {
            float[] from = head < heads ? dq : head < heads + kvHeads ? dk : dv;
            int at = head < heads ? (r * heads + head) * dim : ((head < heads + kvHeads ? head - heads : head - heads - kvHeads) * slots
                + slot) * dim;
            for (int j = 0; j < dim / 2; j++) {
              double a = from[at + j];
              double b = from[at + j + dim / 2];
              boolean turn = rotated && head < heads + kvHeads;
              double c = turn ? cos[position * dim / 2 + j] : 1;
              double s = turn ? sin[position * dim / 2 + j] : 0;
              // y = R x with R = [c -s; s c], so dx = Rᵀ dy
              expected[r * width + head * dim + j] = c * a + s * b;
              expected[r * width + head * dim + j + dim / 2] = -s * a + c * b;
            }
          }
        }
        assertRows("rope_backward " + dtype, expected, gradient.getFloats(stream), rows, tolerance(dtype));
      }
    }
  }

  @Test
  void scatteredRows() {
    for (DType dtype : TRAINED) {
      for (int width : new int[] {1, 7, 160, 1029, 2052}) {
        float[] x = normal(dtype, 6 * width, 1);
        float[] before = normal(DType.F32, 5 * width, 1);
        DeviceBuffer table = buffer(DType.F32, before);
        kernels.scatterAddRows.launch(stream, buffer(dtype, x), ints(3, 0, 4), ints(0, 3, 3, 5), ints(5, 1, 1, 0, 4), table, 3, width);
        double[] expected = new double[5 * width];
        for (int i = 0; i < width; i++) {
          expected[3 * width + i] = x[5 * width + i] + 2.0 * x[width + i];
          expected[4 * width + i] = x[i] + (double) x[4 * width + i];
        }
        assertAll("scatter_add_rows " + dtype + width, sum(expected, before), table.getFloats(stream), 1e-6);
      }
    }
  }

  @Test
  void crossEntropy() {
    for (DType dtype : TRAINED) {
      for (int vocab : new int[] {1, 7, 1023, 4096, 5003}) {
        for (double scale : new double[] {0.1, 5, 60}) {
          int rows = 3;
          float[] logits = normal(dtype, rows * vocab, scale);
          int[] label = {0, vocab - 1, vocab / 2};
          float[] weight = {1f, 0f, 37.5f};
          DeviceBuffer gradient = buffer(dtype, logits);
          DeviceBuffer loss = empty(DType.F32, rows);
          kernels.crossEntropy.launch(stream, gradient, ints(label), buffer(DType.F32, weight), loss, rows, vocab);
          double[] expected = BackwardOracle.crossEntropy(logits, label, vocab);
          float[] actual = loss.getFloats(stream);
          for (int r = 0; r < rows; r++) {
            assertEquals(weight[r] * expected[r], actual[r], 1e-5 * weight[r] * Math.max(1, scale), "loss of row " + r + " (seed " + seed
                + ")");
          }
          assertAll("cross_entropy " + dtype + vocab, BackwardOracle.crossEntropyGradient(logits, label, weight, vocab),
              gradient.getFloats(stream), Math.max(tolerance(dtype), 1e-5));
        }
      }
    }
  }

  @Test
  void crossEntropySkipsWhatIsMinusInfinity() {
    float[] logits = {Float.NEGATIVE_INFINITY, 1f, 1f, Float.NEGATIVE_INFINITY};
    DeviceBuffer gradient = buffer(DType.F32, logits);
    DeviceBuffer loss = empty(DType.F32, 1);
    kernels.crossEntropy.launch(stream, gradient, ints(1), buffer(DType.F32, 2f), loss, 1, 4);
    assertEquals(2 * Math.log(2), loss.getFloats(stream)[0], 1e-6);
    assertArrayEquals(new float[] {0f, -1f, 1f, 0f}, gradient.getFloats(stream), 1e-6f);
  }

  @Test
  void gradientNorm() {
    for (int n : new int[] {1, 5, 1024, 4099, 1100 * 1024 + 3}) {
      for (float limit : new float[] {1f, 1e6f}) {
        float[] x = normal(DType.F32, n, 2);
        DeviceBuffer result = empty(DType.F32, 2);
        kernels.gradientNorm.launch(stream, buffer(DType.F32, x), empty(DType.F64, GradientNorm.scratch(n)), result, limit);
        double squares = 0;
        for (float value : x) {
          squares += (double) value * value;
        }
        float[] actual = result.getFloats(stream);
        assertEquals(Math.sqrt(squares), actual[0], 1e-6 * Math.sqrt(squares), "norm of " + n);
        assertEquals(Math.min(1, limit / Math.sqrt(squares)), actual[1], 1e-6);
      }
    }
  }

  @Test
  void gradientNormOfNaNIsNaN() {
    DeviceBuffer result = empty(DType.F32, 2);
    kernels.gradientNorm.launch(stream, buffer(DType.F32, 1f, Float.NaN), empty(DType.F64, 1), result, 1f);
    assertTrue(Float.isNaN(result.getFloats(stream)[0]));
  }

  @Test
  void adamw() {
    for (DType dtype : TRAINED) {
      for (int n : new int[] {1, 3, 1024, 1029}) {
        float[] w = normal(DType.F32, n, 1);
        float[] m = normal(DType.F32, n, 0.1);
        float[] v = normal(DType.F32, n, 0.1);
        float[] g = normal(DType.F32, n, 1);
        for (int i = 0; i < n; i++) {
          v[i] *= v[i];
        }
        Adamw.Settings settings = new Adamw.Settings(1e-2f, 0.9f, 0.999f, 1e-8f, 0.1f, 3);
        DeviceBuffer master = buffer(DType.F32, w);
        DeviceBuffer weight = dtype == DType.F32 ? master : empty(dtype, n);
        DeviceBuffer first = buffer(DType.F32, m);
        DeviceBuffer second = buffer(DType.F32, v);
        kernels.adamw.launch(stream, master, weight, first, second, buffer(DType.F32, g), buffer(DType.F32, 0.5f), settings);
        double[] moments = new double[n];
        double[] squares = new double[n];
        double[] expected = new double[n];
        for (int i = 0; i < n; i++) {
          moments[i] = 0.9 * m[i] + 0.1 * 0.5 * g[i];
          squares[i] = 0.999 * v[i] + 0.001 * 0.25 * g[i] * g[i];
          double decayed = w[i] - 1e-2 * 0.1 * w[i];
          expected[i] = decayed - 1e-2 * (moments[i] / (1 - Math.pow(0.9, 3))) / (Math.sqrt(squares[i] / (1 - Math.pow(0.999, 3))) + 1e-8);
        }
        assertAll("adamw m", moments, first.getFloats(stream), 1e-6);
        assertAll("adamw v", squares, second.getFloats(stream), 1e-5);
        assertAll("adamw master", expected, master.getFloats(stream), 1e-6);
        double[] rounded = new double[n];
        float[] exact = master.getFloats(stream);
        Arrays.setAll(rounded, i -> Rounding.of(dtype).of(exact[i]));
        assertUlps("adamw weight " + dtype, rounded, weight.getFloats(stream), dtype, 0);
      }
    }
  }
}
