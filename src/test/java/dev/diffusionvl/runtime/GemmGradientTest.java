// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** The gradients of a linear layer by cuBLAS against float64. */
class GemmGradientTest {
  private static final int[][] SHAPES = {{1, 1, 1}, {3, 5, 7}, {8, 256, 129}, {17, 33, 129}, {64, 100, 36}};

  private interface Element {
    double at(int row, int column, int term);
  }

  @Test
  void gradientsOfALinearLayer() {
    SplittableRandom random = new SplittableRandom(7);
    try (Device device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto"))); Stream stream = device.newStream();
        Gemm gemm = new Gemm(stream)) {
      for (DType dtype : new DType[] {DType.BF16, DType.F32}) {
        for (int[] shape : SHAPES) {
          int m = shape[0];
          int n = shape[1];
          int k = shape[2];
          float[] dy = random(random, dtype, m * n);
          float[] w = random(random, dtype, n * k);
          float[] x = random(random, dtype, m * k);
          float[] before = random(random, DType.F32, n * k);
          try (DeviceBuffer dyBuffer = filled(device, stream, dtype, dy); DeviceBuffer wBuffer = filled(device, stream, dtype, w);
              DeviceBuffer xBuffer = filled(device, stream, dtype, x); DeviceBuffer dx = device.allocate("dx", dtype, (long) m * k);
              DeviceBuffer dw = filled(device, stream, DType.F32, before)) {
            gemm.inputGradient(dyBuffer, wBuffer, dx, m, n, k);
            check(dx.getFloats(stream), m, k, n, (i, j, l) -> (double) dy[i * n + l] * w[l * k + j], null, dtype);
            gemm.addWeightGradient(dyBuffer, xBuffer, dw, m, n, k);
            check(dw.getFloats(stream), n, k, m, (i, j, l) -> (double) dy[l * n + i] * x[l * k + j], before, DType.F32);
            float[] kept = dw.getFloats(stream);
            gemm.addWeightGradient(dyBuffer, xBuffer, dw, 0, n, k);
            assertArrayEquals(kept, dw.getFloats(stream), "no rows add nothing");
          }
        }
      }
    }
  }

  @Test
  void refusalsNameTheFormula() {
    try (Device device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto"))); Stream stream = device.newStream();
        Gemm gemm = new Gemm(stream); DeviceBuffer small = device.allocate("small", DType.F32, 6);
        DeviceBuffer bf16 = device.allocate("rounded", DType.BF16, 6)) {
      String message = assertThrows(IllegalArgumentException.class, () -> gemm.inputGradient(small, small, small, 2, 3, 4)).getMessage();
      assertTrue(message.contains("w buffer 'small'") && message.contains("dx[m,k] = dy[m,n] w[n,k]"), message);
      message = assertThrows(IllegalArgumentException.class, () -> gemm.addWeightGradient(bf16, bf16, bf16, 2, 2, 2)).getMessage();
      assertTrue(message.contains("dw buffer 'rounded'"), message);
    }
  }

  private static void check(float[] actual, int rows, int columns, int terms, Element element, float[] before, DType dtype) {
    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < columns; j++) {
        double sum = before == null ? 0 : before[i * columns + j];
        double size = Math.abs(sum);
        for (int l = 0; l < terms; l++) {
          sum += element.at(i, j, l);
          size += Math.abs(element.at(i, j, l));
        }
        double tolerance = 1e-6 * size + (dtype == DType.BF16 ? Math.abs(sum) / 256 : 0);
        assertEquals(sum, actual[i * columns + j], tolerance, dtype + " [" + i + ", " + j + "] of " + rows + "x" + columns);
      }
    }
  }

  private static DeviceBuffer filled(Device device, Stream stream, DType dtype, float[] values) {
    DeviceBuffer buffer = device.allocate("factor", dtype, values.length);
    buffer.set(stream, values);
    return buffer;
  }

  private static float[] random(SplittableRandom random, DType dtype, int n) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      float v = (float) random.nextGaussian();
      values[i] = dtype == DType.BF16 ? DType.fromBf16(DType.toBf16(v)) : v;
    }
    return values;
  }
}
