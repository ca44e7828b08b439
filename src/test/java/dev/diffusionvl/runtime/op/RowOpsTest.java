// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.ElementwiseOracle;
import dev.diffusionvl.oracle.NormOracle;
import dev.diffusionvl.oracle.Rounding;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.RowSquares;
import org.junit.jupiter.api.Test;

/** rms_norm, swiglu, residual_add, bias_activation and gather_rows over odd and ragged widths. */
class RowOpsTest extends OpTest {
  private static final int[][] SHAPES = {{1, 1}, {2, 7}, {3, 8}, {5, 160}, {8, 256}, {1, 1029}, {2, 3420}, {4, 2048}, {3, 4103}};

  @Test
  void rmsNorm() {
    for (DType dtype : FLOATS) {
      for (int[] shape : SHAPES) {
        for (double scale : new double[] {1, 1e-4, 300}) {
          int rows = shape[0];
          int width = shape[1];
          float[] x = normal(dtype, rows * width, scale);
          float[] weight = normal(dtype, width, 1);
          DeviceBuffer y = empty(dtype, x.length);
          kernels.rmsNorm.launch(stream, buffer(dtype, x), buffer(dtype, weight), y, rows, width, 1e-6f);
          double[] expected = NormOracle.rmsNorm(x, weight, rows, width, 1e-6f, Rounding.of(dtype));
          assertRows("rms_norm " + dtype + " " + rows + "x" + width, expected, y.getFloats(stream), rows, tolerance(dtype, 3e-3, 2e-6));
        }
      }
    }
  }

  @Test
  void rmsNormOfZerosIsZero() {
    DeviceBuffer y = empty(DType.F32, 20);
    kernels.rmsNorm.launch(stream, buffer(DType.F32, new float[20]), buffer(DType.F32, normal(DType.F32, 20, 1)), y, 1, 20, 1e-6f);
    assertArrayEquals(new float[20], y.getFloats(stream), 0f);
  }

  @Test
  void swiglu() {
    for (DType dtype : FLOATS) {
      for (int[] shape : SHAPES) {
        for (boolean biased : new boolean[] {false, true}) {
          int rows = shape[0];
          int inter = shape[1];
          float[] acc = normal(DType.F32, rows * 2 * inter, 4);
          float[] bias = biased ? normal(dtype, 2 * inter, 1) : null;
          DeviceBuffer y = empty(dtype, (long) rows * inter);
          kernels.swiglu.launch(stream, buffer(DType.F32, acc), optional(dtype, bias), y, rows, inter);
          assertRows("swiglu " + dtype + " " + rows + "x" + inter,
              ElementwiseOracle.swiglu(acc, bias, rows, inter, Rounding.of(dtype)), y.getFloats(stream), rows,
              tolerance(dtype, 4e-3, 1e-6));
        }
      }
    }
  }

  @Test
  void swigluOfExtremeGates() {
    DeviceBuffer y = empty(DType.F32, 4);
    kernels.swiglu.launch(stream, buffer(DType.F32, -1000f, 1000f, 0f, -90f, 1f, 2f, 3f, 4f), null, y, 1, 4);
    float[] values = y.getFloats(stream);
    assertEquals(0f, values[0], 0f);
    assertEquals(2000f, values[1], 0f);
    assertEquals(0f, values[2], 0f);
    assertEquals(0f, values[3], 1e-30f);
  }

  @Test
  void residualAdd() {
    for (DType dtype : FLOATS) {
      for (int[] shape : SHAPES) {
        for (boolean biased : new boolean[] {false, true}) {
          int rows = shape[0];
          int width = shape[1];
          float[] h = normal(dtype, rows * width, 2);
          float[] acc = normal(DType.F32, rows * width, 1);
          float[] bias = biased ? normal(dtype, width, 1) : null;
          DeviceBuffer y = buffer(dtype, h);
          kernels.residualAdd.launch(stream, y, buffer(DType.F32, acc), optional(dtype, bias), rows, width);
          assertRows("residual_add " + dtype + " " + rows + "x" + width,
              ElementwiseOracle.residual(h, acc, bias, rows, width, Rounding.of(dtype)), y.getFloats(stream), rows,
              tolerance(dtype, 4e-3, 1e-6));
          if (!biased) { // one addition and two roundings: no difference is allowed
            assertUlps("residual_add", ElementwiseOracle.residual(h, acc, null, rows, width, Rounding.of(dtype)), y.getFloats(stream),
                dtype, 0);
          }
        }
      }
    }
  }

  /** Against float64, and to the bit what residual_add and rms_norm do one after the other. */
  @Test
  void residualRmsNorm() {
    for (DType dtype : FLOATS) {
      Rounding rounding = Rounding.of(dtype);
      for (int[] shape : SHAPES) {
        for (boolean biased : new boolean[] {false, true}) {
          int rows = shape[0];
          int width = shape[1];
          String what = "residual_rms_norm " + dtype + " " + rows + "x" + width;
          float[] h = normal(dtype, rows * width, 2);
          float[] acc = normal(DType.F32, rows * width, 1);
          float[] bias = biased ? normal(dtype, width, 1) : null;
          float[] weight = normal(dtype, width, 1);
          DeviceBuffer sum = buffer(dtype, h);
          DeviceBuffer y = empty(dtype, h.length);
          kernels.residualRmsNorm.launch(stream, sum, buffer(DType.F32, acc), optional(dtype, bias), buffer(dtype, weight), y, rows,
              width, 1e-6f);
          float[] sums = sum.getFloats(stream);
          assertRows(what + ": h", ElementwiseOracle.residual(h, acc, bias, rows, width, rounding), sums, rows,
              tolerance(dtype, 4e-3, 1e-6));
          assertRows(what + ": y", NormOracle.rmsNorm(sums, weight, rows, width, 1e-6f, rounding), y.getFloats(stream), rows,
              tolerance(dtype, 3e-3, 2e-6));
          DeviceBuffer sum2 = buffer(dtype, h);
          DeviceBuffer y2 = empty(dtype, h.length);
          kernels.residualAdd.launch(stream, sum2, buffer(DType.F32, acc), optional(dtype, bias), rows, width);
          kernels.rmsNorm.launch(stream, sum2, buffer(dtype, weight), y2, rows, width, 1e-6f);
          assertArrayEquals(sum2.getFloats(stream), sums, what + ": h");
          assertArrayEquals(y2.getFloats(stream), y.getFloats(stream), what + ": y");
        }
      }
    }
  }

  /** A product that was rounded when it was stored gives the same bits as its f32 accumulators: they are rounded first of all. */
  @Test
  void roundedProducts() {
    for (DType dtype : FLOATS) {
      if (dtype != DType.F32) {
        roundedProducts(dtype);
      }
    }
  }

  private void roundedProducts(DType dtype) {
    for (int[] shape : SHAPES) {
      int rows = shape[0];
      int width = shape[1];
      String what = " " + rows + "x" + width + ", seed " + seed;
      float[] acc = normal(DType.F32, 2 * rows * width, 1);
      DeviceBuffer exact = buffer(DType.F32, acc);
      DeviceBuffer rounded = buffer(dtype, acc);
      DeviceBuffer[] activated = {empty(dtype, rows * width), empty(dtype, rows * width)};
      kernels.swiglu.launch(stream, exact, null, activated[0], rows, width);
      kernels.swiglu.launch(stream, rounded, null, activated[1], rows, width);
      assertArrayEquals(activated[0].getFloats(stream), activated[1].getFloats(stream), "swiglu" + what);
      float[] h = normal(dtype, rows * width, 2);
      DeviceBuffer[] sums = {buffer(dtype, h), buffer(dtype, h), buffer(dtype, h)};
      DeviceBuffer weight = buffer(dtype, normal(dtype, width, 1));
      DeviceBuffer[] normed = {empty(dtype, rows * width), empty(dtype, rows * width)};
      kernels.residualRmsNorm.launch(stream, sums[0], exact, null, weight, normed[0], rows, width, 1e-6f);
      kernels.residualRmsNorm.launch(stream, sums[1], rounded, null, weight, normed[1], rows, width, 1e-6f);
      kernels.residualAdd.launch(stream, sums[2], rounded, null, rows, width);
      assertArrayEquals(sums[0].getFloats(stream), sums[1].getFloats(stream), "residual_rms_norm, h" + what);
      assertArrayEquals(sums[0].getFloats(stream), sums[2].getFloats(stream), "residual_add" + what);
      assertArrayEquals(normed[0].getFloats(stream), normed[1].getFloats(stream), "residual_rms_norm, y" + what);
    }
  }

  @Test
  void biasActivation() {
    for (DType dtype : FLOATS) {
      for (int[] shape : SHAPES) {
        for (int activation = 0; activation <= 2; activation++) {
          int rows = shape[0];
          int width = shape[1];
          float[] acc = normal(DType.F32, rows * width, 2);
          float[] bias = activation == 1 ? null : normal(dtype, width, 1);
          DeviceBuffer y = empty(dtype, acc.length);
          kernels.biasActivation.launch(stream, buffer(DType.F32, acc), optional(dtype, bias), y, rows, width, activation);
          assertRows("bias_activation " + activation + " " + dtype + " " + rows + "x" + width,
              ElementwiseOracle.activation(acc, bias, rows, width, activation, Rounding.of(dtype)), y.getFloats(stream), rows,
              tolerance(dtype, 4e-3, 2e-6));
        }
      }
    }
  }

  @Test
  void gatherRows() {
    for (DType dtype : FLOATS) {
      for (int width : new int[] {1, 7, 8, 64, 129, 1000}) {
        float[] table = normal(dtype, 11 * width, 1);
        float[] fallback = normal(dtype, 6 * width, 1);
        int[] index = {10, 0, -4, 5, 11, 5};
        float[] before = normal(dtype, 6 * width, 1);
        for (boolean withFallback : new boolean[] {true, false}) {
          DeviceBuffer out = buffer(dtype, before);
          DeviceBuffer given = withFallback ? buffer(dtype, fallback) : null;
          DeviceBuffer squares = empty(DType.F32, 6L * RowSquares.groups(width));
          kernels.gatherRows.launch(stream, buffer(dtype, table), null, ints(index), given, out, squares, 6, width, 11);
          float[] actual = out.getFloats(stream);
          DeviceBuffer expected = empty(DType.F32, 6L * RowSquares.groups(width));
          kernels.rowSquares.launch(stream, out, expected, 6, width);
          assertArrayEquals(expected.getFloats(stream), squares.getFloats(stream), 0f, "squares of width " + width);
          DeviceBuffer plain = buffer(dtype, before);
          kernels.gatherRows.launch(stream, buffer(dtype, table), ints(index), given, plain, 6, width, 11);
          assertArrayEquals(actual, plain.getFloats(stream), 0f, "without squares");
          for (int r = 0; r < 6; r++) {
            for (int i = 0; i < width; i++) {
              float value = actual[r * width + i];
              if (index[r] > 10) {
                assertTrue(Float.isNaN(value), "a row past the table is NaN");
              } else {
                float[] source = index[r] >= 0 ? table : withFallback ? fallback : before;
                assertEquals(source[(index[r] >= 0 ? index[r] : withFallback ? -1 - index[r] : r) * width + i], value, 0f);
              }
            }
          }
        }
      }
    }
  }

  /** A pass takes rows of a longer index, in any order and more than once; rows past the fallback are NaN like those past the table. */
  @Test
  void gatherPickedRows() {
    for (DType dtype : FLOATS) {
      int width = 7;
      float[] table = normal(dtype, 5 * width, 1);
      float[] fallback = normal(dtype, 3 * width, 1);
      int[] index = {4, -3, 0, 5, -4, 1};
      int[] pick = {1, 5, 0, 1, 3, 4, 2, 0};
      DeviceBuffer out = empty(dtype, 8L * width);
      kernels.gatherRows.launch(stream, buffer(dtype, table), ints(pick), ints(index), buffer(dtype, fallback), out, null, 8, width, 5);
      float[] actual = out.getFloats(stream);
      for (int r = 0; r < pick.length; r++) {
        int from = index[pick[r]];
        for (int i = 0; i < width; i++) {
          float value = actual[r * width + i];
          if (from > 4 || from < -3) {
            assertTrue(Float.isNaN(value), "row " + r);
          } else {
            assertEquals(from >= 0 ? table[from * width + i] : fallback[(-1 - from) * width + i], value, 0f, "row " + r);
          }
        }
      }
    }
  }

  @Test
  void launchersNameTheBadArgument() {
    DeviceBuffer x = buffer(DType.F32, new float[16]);
    DeviceBuffer bf16 = buffer(DType.BF16, new float[16]);
    DeviceBuffer small = buffer(DType.F32, new float[3]);
    DeviceBuffer closed = device.allocate("gone", DType.F32, 16);
    closed.close();
    assertMessage("weight", () -> kernels.rmsNorm.launch(stream, x, small, x, 2, 8, 1e-6f));
    assertMessage("weight", () -> kernels.rmsNorm.launch(stream, x, bf16, x, 2, 8, 1e-6f));
    assertMessage("rows", () -> kernels.rmsNorm.launch(stream, x, small, x, -1, 8, 1e-6f));
    assertMessage("acc", () -> kernels.residualAdd.launch(stream, x, bf16, null, 2, 8));
    assertMessage("bias", () -> kernels.swiglu.launch(stream, x, small, x, 1, 8));
    assertMessage("activation", () -> kernels.biasActivation.launch(stream, x, null, x, 1, 8, 3));
    assertMessage("index", () -> kernels.gatherRows.launch(stream, x, x, null, x, 2, 8, 2));
    IllegalStateException e = assertThrows(IllegalStateException.class,
        () -> kernels.rmsNorm.launch(stream, x, closed, x, 2, 8, 1e-6f));
    assertTrue(e.getMessage().contains("gone") && e.getMessage().contains("closed"), e.getMessage());
  }

  private static void assertMessage(String argument, org.junit.jupiter.api.function.Executable launch) {
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class, launch);
    assertTrue(e.getMessage().contains(argument), e.getMessage());
  }
}
