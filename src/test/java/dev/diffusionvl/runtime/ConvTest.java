// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.Rounding;
import dev.diffusionvl.runtime.op.ExtractPatches;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Convolutions by cuDNN against float64, and against patches and a matrix product. */
class ConvTest {
  private static final DType[] FLOATS = {DType.BF16, DType.F16, DType.F32};

  private final SplittableRandom random = new SplittableRandom(Long.getLong("test.seed", 20261124L));
  private final List<DeviceBuffer> buffers = new ArrayList<>();
  private Device device;
  private Stream stream;
  private Conv conv;

  @BeforeEach
  void open() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    stream = device.newStream();
    Assumptions.assumeTrue(Conv.available() || device.emulated(), "no libcudnn.so.9 on this machine");
    conv = new Conv(stream);
  }

  @AfterEach
  void close() {
    buffers.forEach(DeviceBuffer::close);
    if (conv != null) {
      conv.close();
    }
    stream.close();
    device.close();
  }

  private DeviceBuffer buffer(DType dtype, long n) {
    DeviceBuffer buffer = device.allocate("test data", dtype, n);
    buffers.add(buffer);
    stream.fill(buffer, 0xff);
    return buffer;
  }

  private DeviceBuffer buffer(DType dtype, float[] values) {
    DeviceBuffer buffer = buffer(dtype, values.length);
    buffer.set(stream, values);
    return buffer;
  }

  private float[] normal(DType dtype, int n) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = (float) Rounding.of(dtype).of(random.nextGaussian());
    }
    return values;
  }

  /** Images, height, width, channels, filters, side, stride. */
  @ParameterizedTest
  @CsvSource({"1,1,1,1,1,1,1", "2,31,45,3,17,14,14", "3,28,28,3,144,14,14", "2,9,7,5,4,3,1", "1,16,11,2,3,4,3"})
  void valuesAndAgreementWithTheProduct(int n, int h, int w, int c, int k, int side, int stride) {
    int rows = (h - side) / stride + 1;
    int columns = (w - side) / stride + 1;
    for (DType dtype : FLOATS) {
      float[] x = normal(dtype, n * h * w * c);
      float[] f = normal(dtype, k * side * side * c);
      DeviceBuffer y = buffer(dtype, (long) n * rows * columns * k);
      conv.forward(buffer(dtype, x), buffer(dtype, f), y, n, h, w, c, k, side, stride);
      float[] actual = y.getFloats(stream);
      float[] product = stride == side ? byProduct(dtype, x, f, n, h, w, c, k, side) : null;
      for (int i = 0; i < actual.length; i++) {
        double sum = 0;
        double size = 0;
        int image = i / (rows * columns * k);
        int top = i / k / columns % rows * stride;
        int left = i / k % columns * stride;
        for (int j = 0; j < side * side * c; j++) {
          int at = ((image * h + top + j / c / side) * w + left + j / c % side) * c + j % c;
          double term = (double) x[at] * f[i % k * side * side * c + j];
          sum += term;
          size += Math.abs(term);
        }
        double allowed = 1e-6 * size + (dtype == DType.BF16 ? 4e-3 : dtype == DType.F16 ? 5e-4 : 1e-6) * Math.abs(sum);
        assertEquals(sum, actual[i], allowed, dtype + " element " + i);
        if (product != null) {
          assertEquals(product[i], actual[i], allowed, dtype + " element " + i + " of the product");
        }
      }
    }
  }

  /** What the vision tower does without cuDNN. */
  private float[] byProduct(DType dtype, float[] x, float[] f, int n, int h, int w, int c, int k, int side) {
    int rows = n * (h / side) * (w / side);
    int values = side * side * c;
    try (Gemm gemm = new Gemm(stream)) {
      DeviceBuffer patches = buffer(dtype, (long) rows * values);
      DeviceBuffer y = buffer(DType.F32, (long) rows * k);
      new ExtractPatches(device).launch(stream, buffer(dtype, x), patches, n, h, w, c, side);
      gemm.multiply(patches, buffer(dtype, f), y, rows, k, values);
      return y.getFloats(stream);
    }
  }

  @Test
  void whatDoesNotFitIsRefusedByName() {
    DeviceBuffer x = buffer(DType.F32, 64);
    DeviceBuffer b = buffer(DType.BF16, 64);
    refused("sizes", () -> conv.forward(x, x, x, 1, 4, 4, 4, 1, 5, 1));
    refused("sizes", () -> conv.forward(x, x, x, 1, 4, 4, 4, 1, 2, 0));
    refused("x", () -> conv.forward(x, x, x, 2, 4, 4, 4, 1, 2, 2));
    refused("w", () -> conv.forward(x, b, x, 1, 4, 4, 4, 4, 2, 2));
    refused("w", () -> conv.forward(x, x, x, 1, 4, 4, 4, 5, 2, 2));
    refused("y", () -> conv.forward(x, x, b, 1, 4, 4, 4, 4, 2, 2));
    refused("y", () -> conv.forward(x, x, x.slice(0, 15), 1, 4, 4, 4, 4, 2, 2));
    conv.forward(x, x, x, 0, 4, 4, 4, 4, 2, 2); // no images, no work
  }

  private static void refused(String argument, Runnable call) {
    String message = assertThrows(IllegalArgumentException.class, call::run).getMessage();
    assertTrue(message.startsWith("convolution: " + argument + " does not fit"), message);
  }

  @Test
  void closingTwiceIsOnceAndUseAfterItIsRefused() {
    DeviceBuffer x = buffer(DType.F32, 64);
    Conv own = new Conv(stream);
    own.close();
    own.close();
    assertThrows(IllegalStateException.class, () -> own.forward(x, x, x, 1, 4, 4, 4, 4, 2, 2));
  }

  @Test
  void aClosedBufferIsNamed() {
    DeviceBuffer x = buffer(DType.F32, 64);
    DeviceBuffer gone = device.allocate("gone", DType.F32, 64);
    gone.close();
    String message = assertThrows(IllegalStateException.class, () -> conv.forward(x, gone, x, 1, 4, 4, 4, 4, 2, 2)).getMessage();
    assertTrue(message.contains("gone"), message);
  }
}
