// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.quantize;

import dev.diffusionvl.loader.EncodedMatrix;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.IntStream;

/** Sizes of matrices and of their products with rows that layers take; products are made on the device, in f32. */
final class ErrorMeter implements AutoCloseable {
  private static final long PIECE_ELEMENTS = 16L << 20; // of a matrix on the device at a time

  private final Device device;
  private final DeviceScope owned;
  private final Stream stream;
  private final Gemm gemm;

  ErrorMeter(Device device) {
    this.device = device;
    try (DeviceScope scope = new DeviceScope(device)) {
      stream = scope.newStream();
      gemm = scope.own(new Gemm(stream));
      owned = scope.keep();
    }
  }

  /** Rows on the device: F32 [count, in]. The caller closes them. */
  DeviceBuffer upload(float[] values, int in) {
    DeviceBuffer rows = device.allocate("calibration rows", DType.F32, values.length / in, in);
    rows.set(stream, values);
    return rows;
  }

  /** Σ w². */
  static double squares(int out, int in, EncodedMatrix.Rows rows) {
    double[] sums = new double[out];
    IntStream.range(0, out).parallel().forEach(row -> {
      float[] values = new float[in];
      rows.read(row, values);
      for (float value : values) {
        sums[row] += (double) value * value;
      }
    });
    double total = 0;
    for (double sum : sums) { // always in the same order
      total += sum;
    }
    return total;
  }

  /** Σ (x wᵀ)². @param x F32 [count, in] */
  double productSquares(int out, int in, EncodedMatrix.Rows rows, DeviceBuffer x) {
    int count = (int) x.shape()[0];
    int each = (int) Math.clamp(PIECE_ELEMENTS / in, 1, out);
    double total = 0;
    try (Arena arena = Arena.ofShared(); DeviceBuffer matrix = device.allocate("piece of a matrix", DType.F32, each, in);
        DeviceBuffer products = device.allocate("products", DType.F32, count, each)) {
      MemorySegment piece = arena.allocate(4L * each * in, 16);
      for (int first = 0; first < out; first += each) {
        int from = first;
        int some = Math.min(each, out - first);
        IntStream.range(0, some).parallel().forEach(i -> {
          float[] values = new float[in];
          rows.read(from + i, values);
          MemorySegment.copy(values, 0, piece, ValueLayout.JAVA_FLOAT, 4L * i * in, in);
        });
        stream.upload(piece.asSlice(0, 4L * some * in), matrix.slice(0, some, in));
        DeviceBuffer result = products.slice(0, count, some);
        gemm.multiply(x, matrix, result, count, some, in);
        for (float value : result.getFloats(stream)) {
          total += (double) value * value;
        }
      }
    }
    return total;
  }

  @Override
  public void close() {
    owned.close();
  }
}
