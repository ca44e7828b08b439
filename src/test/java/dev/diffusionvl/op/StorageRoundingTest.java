// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.op;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.ElementwiseOracle;
import dev.diffusionvl.oracle.NormOracle;
import dev.diffusionvl.oracle.RotaryOracle;
import dev.diffusionvl.oracle.Rounding;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.Segments;
import org.junit.jupiter.api.Test;

/**
 * bf16 kernels round where the reference rounds: almost every element equals the oracle's to the bit. A missing or an extra
 * rounding changes a tenth of them and more, which an error norm over a row would not show.
 */
class StorageRoundingTest extends OpTest {
  private static final Rounding T = Rounding.BF16;
  /** f32 against float64 just before a rounding: rarely on the other side of a halfway point. */
  private static final double MAY_DIFFER = 0.003;

  private static void assertMostlyEqual(String what, double[] expected, float[] actual) {
    int different = 0;
    for (int i = 0; i < expected.length; i++) {
      if (actual[i] != expected[i]) {
        different++;
        // an intermediate value that rounded the other way may double on its way to the result
        double unit = Math.ulp((float) expected[i]) * 65536;
        assertTrue(Math.abs(actual[i] - expected[i]) <= 2 * unit,
            "%s: element %d is %s, should be %s".formatted(what, i, actual[i], expected[i]));
      }
    }
    assertTrue(different <= MAY_DIFFER * expected.length + 1, what + ": " + different + " of " + expected.length + " elements differ");
  }

  @Test
  void rmsNorm() {
    int rows = 5;
    int width = 1031;
    float[] x = normal(DType.BF16, rows * width, 3);
    float[] weight = normal(DType.BF16, width, 1);
    DeviceBuffer y = empty(DType.BF16, x.length);
    kernels.rmsNorm().launch(stream, buffer(DType.BF16, x), buffer(DType.BF16, weight), y, rows, width, 1e-6f);
    assertMostlyEqual("rms_norm", NormOracle.rmsNorm(x, weight, rows, width, 1e-6f, T), y.getFloats(stream));
  }

  @Test
  void swiglu() {
    int rows = 4;
    int inter = 1283;
    float[] acc = normal(DType.F32, rows * 2 * inter, 3);
    float[] bias = normal(DType.BF16, 2 * inter, 1);
    DeviceBuffer y = empty(DType.BF16, (long) rows * inter);
    kernels.swiglu().launch(stream, buffer(DType.F32, acc), buffer(DType.BF16, bias), y, rows, inter);
    assertMostlyEqual("swiglu", ElementwiseOracle.swiglu(acc, bias, rows, inter, T), y.getFloats(stream));
  }

  @Test
  void residualAdd() {
    int rows = 4;
    int width = 1027;
    float[] h = normal(DType.BF16, rows * width, 3);
    float[] acc = normal(DType.F32, rows * width, 1);
    float[] bias = normal(DType.BF16, width, 1);
    DeviceBuffer y = buffer(DType.BF16, h);
    kernels.residualAdd().launch(stream, y, buffer(DType.F32, acc), buffer(DType.BF16, bias), rows, width);
    assertMostlyEqual("residual_add", ElementwiseOracle.residual(h, acc, bias, rows, width, T), y.getFloats(stream));
  }

  @Test
  void biasActivation() {
    int rows = 4;
    int width = 1027;
    for (int activation = 0; activation <= 2; activation++) {
      // GELU of a large negative number is a difference of nearly equal ones: stay where f32 is good for bf16
      float[] acc = normal(DType.F32, rows * width, 0.4);
      float[] bias = normal(DType.BF16, width, 0.2);
      DeviceBuffer y = empty(DType.BF16, acc.length);
      kernels.biasActivation().launch(stream, buffer(DType.F32, acc), buffer(DType.BF16, bias), y, rows, width, activation);
      assertMostlyEqual("bias_activation " + activation,
          ElementwiseOracle.activation(acc, bias, rows, width, activation, T), y.getFloats(stream));
    }
  }

  @Test
  void textRotaryRoundsEveryStep() {
    int rows = 9;
    int dim = 128;
    int width = 3 * dim; // one head of q, k and v each
    float[] acc = normal(DType.F32, rows * width, 1);
    float[] bias = normal(DType.BF16, width, 1);
    float[] cos = new float[rows * dim / 2];
    float[] sin = new float[rows * dim / 2];
    angles(cos, sin);
    DeviceBuffer q = empty(DType.BF16, (long) rows * dim);
    DeviceBuffer k = empty(DType.BF16, (long) rows * dim);
    DeviceBuffer v = empty(DType.BF16, (long) rows * dim);
    try (Segments segments = new Segments(device, 1)) {
      segments.add(0, rows, 0, 0, 0, 0, 0);
      segments.upload(stream);
      kernels.ropeKvAppend().launch(stream, buffer(DType.F32, acc), buffer(DType.BF16, bias), buffer(DType.F32, cos),
          buffer(DType.F32, sin), segments, q, k, v, 1, 1, dim, rows);
    }
    double[] x = RotaryOracle.linear(acc, bias, width, T);
    double[] expectedQ = new double[rows * dim];
    double[] expectedK = new double[rows * dim];
    double[] expectedV = new double[rows * dim];
    for (int row = 0; row < rows; row++) {
      System.arraycopy(RotaryOracle.text(x, row * width, dim, cos, sin, row, T), 0, expectedQ, row * dim, dim);
      System.arraycopy(RotaryOracle.text(x, row * width + dim, dim, cos, sin, row, T), 0, expectedK, row * dim, dim);
      System.arraycopy(x, row * width + 2 * dim, expectedV, row * dim, dim);
    }
    // differences of products cancel, but every product was rounded to bf16 before: equal inputs give equal results
    assertMostlyEqual("q", expectedQ, q.getFloats(stream));
    assertMostlyEqual("k", expectedK, k.getFloats(stream));
    assertMostlyEqual("v", expectedV, v.getFloats(stream));
  }

  private void angles(float[] cos, float[] sin) {
    for (int i = 0; i < cos.length; i++) {
      double angle = random.nextDouble(2 * Math.PI);
      cos[i] = (float) Math.cos(angle);
      sin[i] = (float) Math.sin(angle);
    }
  }
}
