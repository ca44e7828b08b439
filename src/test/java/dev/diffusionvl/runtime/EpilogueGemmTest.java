// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.diffusionvl.runtime.EpilogueGemm.Epilogue;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Products with epilogues against float64, captured ones, and what is refused. */
class EpilogueGemmTest {
  private final long seed = Long.getLong("test.seed", 20261124L);
  private final SplittableRandom random = new SplittableRandom(seed);
  private final List<DeviceBuffer> buffers = new ArrayList<>();
  private Device device;
  private Stream stream;
  private int openBefore;

  @BeforeEach
  void open() {
    assumeTrue(JniKernels.available());
    openBefore = LeakTracker.openHandles();
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    stream = device.newStream();
  }

  @AfterEach
  void close() {
    if (device != null) {
      buffers.forEach(DeviceBuffer::close);
      stream.close();
      device.close();
      assertEquals(openBefore, LeakTracker.openHandles(), () -> String.join("\n", LeakTracker.report()));
    }
  }

  private float[] normal(DType dtype, int n) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      float v = (float) random.nextGaussian();
      values[i] = dtype == DType.BF16 ? DType.fromBf16(DType.toBf16(v)) : v;
    }
    return values;
  }

  private DeviceBuffer buffer(String name, DType dtype, float... values) {
    DeviceBuffer buffer = device.allocate(name, dtype, values.length);
    buffers.add(buffer);
    buffer.set(stream, values);
    return buffer;
  }

  @Test
  void againstFloat64() {
    int[][] shapes = {{1, 8, 8}, {3, 24, 40}, {16, 64, 128}, {17, 136, 72}};
    for (int[] s : shapes) {
      for (Epilogue epilogue : Epilogue.values()) {
        for (DType[] types : new DType[][] {{DType.BF16, DType.BF16}, {DType.BF16, DType.F32}, {DType.F32, DType.F32}}) {
          check(types[0], types[1], s[0], s[1], s[2], epilogue);
        }
      }
    }
  }

  private void check(DType in, DType out, int m, int n, int k, Epilogue epilogue) {
    float[] x = normal(in, m * k);
    float[] w = normal(in, n * k);
    float[] bias = normal(out, n);
    try (EpilogueGemm gemm = new EpilogueGemm(device, in, out, m, n, k, epilogue); DeviceBuffer y = device.allocate("y", out, m, n)) {
      stream.fill(y, 0xff);
      gemm.multiply(stream, buffer("x", in, x), buffer("w", in, w), epilogue.bias() ? buffer("bias", out, bias) : null, y);
      float[] result = y.getFloats(stream);
      for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
          double sum = epilogue.bias() ? bias[j] : 0;
          double size = Math.abs(sum);
          for (int l = 0; l < k; l++) {
            double term = (double) x[i * k + l] * w[j * k + l];
            sum += term;
            size += Math.abs(term);
          }
          boolean gelu = epilogue == Epilogue.GELU || epilogue == Epilogue.GELU_BIAS;
          double expected = gelu ? 0.5 * sum * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (sum + 0.044715 * sum * sum * sum))) : sum;
          double tolerance = 1e-6 * size + (gelu ? 1e-6 : 0) + (out == DType.BF16 ? Math.abs(expected) / 256 : 0);
          assertEquals(expected, result[i * n + j], tolerance, "%s, element %d, %d (seed %d)".formatted(gemm, i, j, seed));
        }
      }
    }
  }

  @Test
  void aProductMayBeCaptured() {
    DeviceBuffer x = buffer("x", DType.F32, 1, 2, 3, 4, 5, 6, 7, 8);
    float[] identity = new float[64];
    for (int i = 0; i < 8; i++) {
      identity[i * 9] = 1;
    }
    DeviceBuffer w = buffer("w", DType.F32, identity);
    DeviceBuffer bias = buffer("bias", DType.F32, 10, 20, 30, 40, 50, 60, 70, 80);
    DeviceBuffer other = buffer("other bias", DType.F32, new float[8]);
    DeviceBuffer y = buffer("y", DType.F32, new float[8]);
    try (EpilogueGemm gemm = new EpilogueGemm(device, DType.F32, DType.F32, 1, 8, 8, Epilogue.BIAS);
        Graph graph = Graph.capture(stream, () -> gemm.multiply(stream, x, w, bias, y))) {
      gemm.multiply(stream, x, w, other, y);
      assertArrayEquals(new float[] {1, 2, 3, 4, 5, 6, 7, 8}, y.getFloats(stream));
      graph.launch(stream); // has the bias of its capture
      assertArrayEquals(new float[] {11, 22, 33, 44, 55, 66, 77, 88}, y.getFloats(stream));
    }
  }

  @Test
  void whatDoesNotFitIsRefusedByName() {
    DeviceBuffer x = buffer("x", DType.F32, new float[64]);
    DeviceBuffer bias = buffer("bias", DType.F32, new float[8]);
    DeviceBuffer small = buffer("small", DType.F32, new float[63]);
    EpilogueGemm gemm = new EpilogueGemm(device, DType.F32, DType.F32, 8, 8, 8, Epilogue.BIAS);
    refused("x is buffer 'small'", () -> gemm.multiply(stream, small, x, bias, x));
    refused("w is buffer 'small'", () -> gemm.multiply(stream, x, small, bias, x));
    refused("y is null", () -> gemm.multiply(stream, x, x, bias, null));
    refused("bias is null", () -> gemm.multiply(stream, x, x, null, x));
    DeviceBuffer longer = buffer("longer", DType.F32, new float[65]);
    refused("no multiple of 16", () -> gemm.multiply(stream, longer.slice(1, 64), x, bias, x));
    gemm.close();
    gemm.close();
    assertThrows(IllegalStateException.class, () -> gemm.multiply(stream, x, x, bias, x));
    try (EpilogueGemm plain = new EpilogueGemm(device, DType.F32, DType.F32, 8, 8, 8, Epilogue.NONE)) {
      refused("takes no bias", () -> plain.multiply(stream, x, x, bias, x));
    }
    refused("dtypes are", () -> new EpilogueGemm(device, DType.F32, DType.BF16, 8, 8, 8, Epilogue.NONE));
    refused("sizes at least 1", () -> new EpilogueGemm(device, DType.F32, DType.F32, 0, 8, 8, Epilogue.NONE));
  }

  private static void refused(String mention, Runnable call) {
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class, call::run);
    assertTrue(e.getMessage().contains(mention), e.getMessage());
  }
}
