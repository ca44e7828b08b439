// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.NormOracle;
import dev.diffusionvl.oracle.PatchOracle;
import dev.diffusionvl.oracle.Rounding;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import org.junit.jupiter.api.Test;

/** layer_norm, extract_patches, position_embedding and blend_rows over odd and ragged sizes. */
class SigLipOpsTest extends OpTest {
  private static final int[][] SHAPES = {{1, 1}, {2, 7}, {3, 8}, {5, 160}, {8, 256}, {1, 1029}, {2, 1152}, {4, 2048}, {3, 4103}};

  @Test
  void layerNorm() {
    for (DType dtype : FLOATS) {
      for (int[] shape : SHAPES) {
        for (double scale : new double[] {1, 1e-4, 300}) {
          int rows = shape[0];
          int width = shape[1];
          float[] x = normal(dtype, rows * width, scale);
          float[] weight = normal(dtype, width, 1);
          float[] bias = normal(dtype, width, 1);
          DeviceBuffer y = empty(dtype, x.length);
          kernels.layerNorm.launch(stream, buffer(dtype, x), buffer(dtype, weight), buffer(dtype, bias), y, rows, width, 1e-6f);
          assertRows("layer_norm " + dtype + " " + rows + "x" + width,
              NormOracle.layerNorm(x, weight, bias, rows, width, 1e-6f, Rounding.of(dtype)), y.getFloats(stream), rows,
              tolerance(dtype, 3e-3, 3e-6));
        }
      }
    }
  }

  /** The difference of squares would lose every digit here: mean 1000, deviation 1. */
  @Test
  void layerNormOfALargeMean() {
    int width = 1152;
    float[] x = normal(DType.F32, 2 * width, 1);
    for (int i = 0; i < x.length; i++) {
      x[i] += 1000;
    }
    float[] weight = normal(DType.F32, width, 1);
    float[] bias = normal(DType.F32, width, 1);
    DeviceBuffer y = empty(DType.F32, x.length);
    kernels.layerNorm.launch(stream, buffer(DType.F32, x), buffer(DType.F32, weight), buffer(DType.F32, bias), y, 2, width, 1e-6f);
    assertRows("layer_norm", NormOracle.layerNorm(x, weight, bias, 2, width, 1e-6f, Rounding.F32), y.getFloats(stream), 2, 1e-4);
  }

  /** A constant row: nothing but the bias is left, and eps keeps the division finite. */
  @Test
  void layerNormOfAConstantIsTheBias() {
    for (DType dtype : FLOATS) {
      int width = 133;
      float[] x = new float[width];
      java.util.Arrays.fill(x, 3);
      float[] bias = normal(dtype, width, 1);
      DeviceBuffer y = empty(dtype, width);
      kernels.layerNorm.launch(stream, buffer(dtype, x), buffer(dtype, normal(dtype, width, 1)), buffer(dtype, bias), y, 1, width, 1e-6f);
      assertArrayEquals(bias, y.getFloats(stream), 2e-2f);
    }
  }

  @Test
  void layerNormWorksInPlaceAndKeepsABadRowToItself() {
    for (DType dtype : FLOATS) {
      int width = 133;
      float[] x = normal(dtype, 3 * width, 1);
      x[width + 77] = Float.NaN;
      DeviceBuffer weight = buffer(dtype, normal(dtype, width, 1));
      DeviceBuffer inPlace = buffer(dtype, x);
      DeviceBuffer y = empty(dtype, x.length);
      kernels.layerNorm.launch(stream, buffer(dtype, x), weight, weight, y, 3, width, 1e-6f);
      kernels.layerNorm.launch(stream, inPlace, weight, weight, inPlace, 3, width, 1e-6f);
      float[] values = y.getFloats(stream);
      for (int i = 0; i < values.length; i++) {
        assertEquals(i / width == 1, Float.isNaN(values[i]), "element " + i);
      }
      assertArrayEquals(values, inPlace.getFloats(stream));
    }
  }

  @Test
  void extractPatches() {
    int[][] shapes = {{1, 1, 1, 1, 1}, {2, 5, 7, 3, 2}, {3, 14, 14, 3, 14}, {2, 31, 45, 3, 14}, {1, 56, 62, 3, 14}, {2, 9, 6, 4, 3}};
    for (DType dtype : FLOATS) {
      for (int[] s : shapes) {
        float[] images = normal(dtype, s[0] * s[1] * s[2] * s[3], 1);
        float[] expected = PatchOracle.extractPatches(images, s[0], s[1], s[2], s[3], s[4]);
        DeviceBuffer patches = empty(dtype, expected.length + 8);
        kernels.extractPatches.launch(stream, buffer(dtype, images), patches, s[0], s[1], s[2], s[3], s[4]);
        float[] actual = patches.getFloats(stream);
        for (int i = 0; i < actual.length; i++) {
          assertEquals(i < expected.length ? expected[i] : Float.NaN, actual[i], "element " + i + " of " + expected.length);
        }
      }
    }
  }

  /** One addition, a rounding, one more: every bit. */
  @Test
  void positionEmbedding() {
    for (DType dtype : FLOATS) {
      for (DType from : dtype == DType.F32 ? new DType[] {dtype} : new DType[] {dtype, DType.F32}) {
        for (int[] shape : SHAPES) {
          for (int positions : new int[] {1, 2, shape[0]}) {
            int rows = shape[0] * positions;
            int width = shape[1];
            float[] patches = normal(from, rows * width, 3);
            float[] bias = normal(dtype, width, 1);
            float[] position = normal(dtype, positions * width, 1);
            DeviceBuffer out = empty(dtype, patches.length);
            kernels.positionEmbedding.launch(stream, buffer(from, patches), buffer(dtype, bias), buffer(dtype, position), out, rows, width,
                positions);
            assertUlps("position_embedding " + from + " " + dtype + " " + rows + "x" + width,
                PatchOracle.positionEmbedding(patches, bias, position, width, Rounding.of(dtype)), out.getFloats(stream), dtype, 0);
          }
        }
      }
    }
  }

  @Test
  void blendRows() {
    for (DType dtype : FLOATS) {
      for (int width : new int[] {1, 7, 8, 64, 129, 1000, 1032}) {
        int rows = 9;
        int tableRows = 6;
        float[] table = normal(dtype, tableRows * width, 1);
        int[] index = random.ints(4 * rows, 0, tableRows).toArray();
        float[] weight = normal(DType.F32, 4 * rows, 1);
        for (int k = 0; k < 4; k++) {
          weight[k] = k == 0 ? 1 : 0; // a plain copy
          weight[4 + k] = 0; // nothing
        }
        DeviceBuffer out = empty(dtype, (long) rows * width);
        kernels.blendRows.launch(stream, buffer(dtype, table), ints(index), buffer(DType.F32, weight), out, rows, width, tableRows);
        float[] actual = out.getFloats(stream);
        double[] expected = PatchOracle.blendRows(table, index, weight, width, Rounding.of(dtype));
        for (int i = 0; i < expected.length; i++) {
          // a sum that cancels keeps the error of its terms
          assertEquals(expected[i], actual[i], tolerance(dtype, 4e-3, 1e-6) * (1 + Math.abs(expected[i])), "width " + width
              + ", element "
              + i + " (seed " + seed + ")");
        }
        for (int i = 0; i < width; i++) {
          assertEquals(table[index[0] * width + i], actual[i], "a weight of 1 copies");
          assertEquals(0f, actual[width + i], "weights of 0");
        }
      }
    }
  }

  /** A term of weight 0 is not read: neither a NaN in a row nor an impossible index matters. Any other bad index does. */
  @Test
  void blendRowsReadsWhatHasAWeight() {
    for (DType dtype : FLOATS) {
      float[] table = normal(dtype, 4 * 9, 1); // one row more than the kernel is told of
      java.util.Arrays.fill(table, 0, 9, Float.NaN);
      int[] index = {1, 0, -7, 99, 2, 1, 2, 1, 1, 3, 1, 1, -1, 1, 1, 1};
      float[] weight = {1, 0, 0, 0, .5f, .5f, 0, 0, .5f, .5f, 0, 0, 1, 0, 0, 0};
      DeviceBuffer out = empty(dtype, 4 * 9);
      kernels.blendRows.launch(stream, buffer(dtype, table), ints(index), buffer(DType.F32, weight), out, 4, 9, 3);
      float[] actual = out.getFloats(stream);
      for (int i = 0; i < 9; i++) {
        assertEquals(table[9 + i], actual[i]);
        assertTrue(Float.isFinite(actual[9 + i]), "row 1");
        assertTrue(Float.isNaN(actual[18 + i]) && Float.isNaN(actual[27 + i]), "an index outside the table");
      }
    }
  }
}
