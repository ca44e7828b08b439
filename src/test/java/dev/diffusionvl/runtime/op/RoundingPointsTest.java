// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.ElementwiseOracle;
import dev.diffusionvl.oracle.NormOracle;
import dev.diffusionvl.oracle.RotaryOracle;
import dev.diffusionvl.oracle.Rounding;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.BiasActivation;
import dev.diffusionvl.runtime.op.Segments;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Element by element: a kernel rounds where the reference does and nowhere else. A norm over rows would not see a rounding point
 * that is missing. Without a transcendental function in the formula every bit must agree, in every dtype; with one, the f32
 * result before rounding may differ in its last bits, which moves a rare element across a rounding border.
 */
class RoundingPointsTest extends OpTest {
  /** Share of bf16 and f16 elements that may differ at all where exp, erf, tanh or rsqrt is involved. */
  private static final double RARE = 1e-3;

  @ParameterizedTest
  @CsvSource({"BF16,0", "BF16,1", "BF16,2", "F16,0", "F16,1", "F32,0", "F32,1", "F32,2"})
  void residualAddAgreesInEveryBit(DType dtype, int draw) {
    random = new SplittableRandom(seed + draw);
    int rows = 5;
    int width = 1031;
    float[] h = normal(dtype, rows * width, 2);
    float[] acc = normal(DType.F32, rows * width, 3);
    float[] bias = normal(dtype, width, 1);
    DeviceBuffer y = buffer(dtype, h);
    kernels.residualAdd.launch(stream, y, buffer(DType.F32, acc), buffer(dtype, bias), rows, width);
    assertUlps("residual_add " + dtype, ElementwiseOracle.residual(h, acc, bias, rows, width, Rounding.of(dtype)), y.getFloats(stream),
        dtype, 0);
  }

  @ParameterizedTest
  @CsvSource({"BF16,0", "BF16,1", "F16,0", "F32,0", "F32,1"})
  void biasAloneAgreesInEveryBit(DType dtype, int draw) {
    random = new SplittableRandom(seed + draw);
    int rows = 3;
    int width = 1284;
    float[] acc = normal(DType.F32, rows * width, 3);
    float[] bias = normal(dtype, width, 1);
    DeviceBuffer y = empty(dtype, acc.length);
    kernels.biasActivation.launch(stream, buffer(DType.F32, acc), buffer(dtype, bias), y, rows, width, BiasActivation.NONE);
    assertUlps("bias_activation " + dtype, ElementwiseOracle.activation(acc, bias, rows, width, 0, Rounding.of(dtype)),
        y.getFloats(stream), dtype, 0);
  }

  @ParameterizedTest
  @CsvSource({"BF16,1", "BF16,2", "F16,1", "F16,2", "F32,1", "F32,2"})
  void geluRoundsTwice(DType dtype, int activation) {
    int rows = 6;
    int width = 1023;
    float[] acc = normal(DType.F32, rows * width, 1.5);
    float[] bias = normal(dtype, width, 0.5);
    DeviceBuffer y = empty(dtype, acc.length);
    kernels.biasActivation.launch(stream, buffer(DType.F32, acc), buffer(dtype, bias), y, rows, width, activation);
    // 1 + erf cancels for negative x, in the reference's f32 as well: the result is good to some 1e-7 of |x|, not of itself
    assertRareUlps("gelu " + activation + " " + dtype, ElementwiseOracle.activation(acc, bias, rows, width, activation, Rounding.of(dtype)),
        y.getFloats(stream), dtype, 1, 1e-6);
  }

  @ParameterizedTest
  @CsvSource({"BF16,0", "BF16,1", "F16,0", "F32,0", "F32,1"})
  void swigluRoundsFourTimes(DType dtype, int draw) {
    random = new SplittableRandom(seed + draw);
    int rows = 4;
    int inter = 1733;
    float[] acc = normal(DType.F32, rows * 2 * inter, 3);
    float[] bias = normal(dtype, 2 * inter, 1);
    DeviceBuffer y = empty(dtype, (long) rows * inter);
    kernels.swiglu.launch(stream, buffer(DType.F32, acc), buffer(dtype, bias), y, rows, inter);
    assertRareUlps("swiglu " + dtype, ElementwiseOracle.swiglu(acc, bias, rows, inter, Rounding.of(dtype)), y.getFloats(stream), dtype, 2,
        0);
  }

  @ParameterizedTest
  @CsvSource({"BF16,0", "BF16,1", "F16,0", "F32,0", "F32,1"})
  void rmsNormRoundsTwice(DType dtype, int draw) {
    random = new SplittableRandom(seed + draw);
    int rows = 4;
    int width = 2051;
    float[] x = normal(dtype, rows * width, 5);
    float[] weight = normal(dtype, width, 1);
    DeviceBuffer y = empty(dtype, x.length);
    kernels.rmsNorm.launch(stream, buffer(dtype, x), buffer(dtype, weight), y, rows, width, 1e-6f);
    assertRareUlps("rms_norm " + dtype, NormOracle.rmsNorm(x, weight, rows, width, 1e-6f, Rounding.of(dtype)), y.getFloats(stream), dtype,
        2, 0);
  }

  @ParameterizedTest
  @CsvSource({"BF16,128", "BF16,80", "BF16,6", "F16,128", "F16,6", "F32,128", "F32,80", "F32,6"})
  void ropeAgreesInEveryBit(DType dtype, int dim) {
    int heads = 3;
    int rows = 9;
    int positions = 20;
    int width = (heads + 2 * heads) * dim;
    float[] acc = normal(DType.F32, rows * width, 2);
    float[] bias = normal(dtype, width, 1);
    float[] cos = normal(DType.F32, positions * dim / 2, 1);
    float[] sin = normal(DType.F32, positions * dim / 2, 1);
    DeviceBuffer q = empty(dtype, (long) rows * heads * dim);
    DeviceBuffer k = empty(dtype, (long) heads * rows * dim);
    DeviceBuffer v = empty(dtype, (long) heads * rows * dim);
    try (Segments segments = new Segments(device, 1)) {
      segments.add(0, rows, positions - rows, 0, 0, 0, Segments.Own.NONE);
      segments.upload(stream);
      kernels.ropeKvAppend.launch(stream, buffer(DType.F32, acc), buffer(dtype, bias),
          new Rope(buffer(DType.F32, cos), buffer(DType.F32, sin)), segments, q, new KeyValues(k, v, new Heads(heads, heads, dim), rows));
    }
    Rounding t = Rounding.of(dtype);
    double[] x = RotaryOracle.linear(acc, bias, width, t);
    double[] expectedQ = new double[rows * heads * dim];
    double[] expectedK = new double[rows * heads * dim];
    for (int row = 0; row < rows; row++) {
      for (int head = 0; head < heads; head++) {
        int at = row * width + head * dim;
        int position = positions - rows + row;
        put(expectedQ, row * heads + head, RotaryOracle.text(x, at, dim, cos, sin, position, t));
        put(expectedK, head * rows + row, RotaryOracle.text(x, at + heads * dim, dim, cos, sin, position, t));
      }
    }
    assertUlps("rope q " + dtype, expectedQ, q.getFloats(stream), dtype, 0);
    assertUlps("rope k " + dtype, expectedK, k.getFloats(stream), dtype, 0);
  }

  @ParameterizedTest
  @CsvSource({"BF16", "F16", "F32"})
  void visionRotaryAgreesInEveryBit(DType dtype) {
    int heads = 2;
    int rows = 7;
    int dim = 80;
    int width = 3 * heads * dim;
    float[] acc = normal(DType.F32, rows * width, 2);
    float[] bias = normal(dtype, width, 1);
    float[] cos = normal(DType.F32, rows * dim / 2, 1);
    float[] sin = normal(DType.F32, rows * dim / 2, 1);
    DeviceBuffer q = empty(dtype, (long) rows * heads * dim);
    DeviceBuffer k = empty(dtype, (long) rows * heads * dim);
    DeviceBuffer v = empty(dtype, (long) rows * heads * dim);
    kernels.visionRotary.launch(stream, buffer(DType.F32, acc), buffer(dtype, bias),
        new Rope(buffer(DType.F32, cos), buffer(DType.F32, sin)), q, new KeyValues(k, v, new Heads(heads, heads, dim), rows));
    Rounding t = Rounding.of(dtype);
    double[] x = RotaryOracle.linear(acc, bias, width, t);
    double[] expected = new double[rows * heads * dim];
    for (int row = 0; row < rows; row++) {
      for (int head = 0; head < heads; head++) {
        put(expected, row * heads + head, RotaryOracle.vision(x, row * width + head * dim, dim, cos, sin, row, t));
      }
    }
    assertUlps("vision_rotary q " + dtype, expected, q.getFloats(stream), dtype, 0);
  }

  private static void put(double[] target, int head, double[] values) {
    System.arraycopy(values, 0, target, head * values.length, values.length);
  }

  /** bf16 and f16: within {@code ulps}, and nearly all equal; f32: within 8 ulps and {@code slack}, the worst error of f32 functions. */
  private void assertRareUlps(String what, double[] expected, float[] actual, DType dtype, double ulps, double slack) {
    if (dtype == DType.F32) {
      for (int i = 0; i < expected.length; i++) {
        assertTrue(Math.abs(actual[i] - expected[i]) <= 8 * Math.ulp((float) expected[i]) + slack,
            "%s: element %d is %s, should be %s (seed %d)".formatted(what, i, actual[i], expected[i], seed));
      }
      return;
    }
    int different = 0;
    for (int i = 0; i < expected.length; i++) {
      double error = Math.abs(actual[i] - expected[i]);
      assertTrue(error <= ulps * unit(dtype, expected[i]) + slack,
          "%s: element %d is %s, should be %s (seed %d)".formatted(what, i, actual[i], expected[i], seed));
      different += error > slack ? 1 : 0;
    }
    assertTrue(different <= 1 + RARE * expected.length, what + ": " + different + " of " + expected.length + " elements differ, seed "
        + seed);
  }
}
