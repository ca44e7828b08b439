// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples.lowlevel;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Graph;
import dev.diffusionvl.runtime.PinnedBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * A copy, a matrix product, a kernel and a copy back, captured once into a graph and replayed with other data: each replay is one
 * call and waits for nothing but its end. What differs between replays lies in pinned memory that the graph copies from.
 */
public final class CapturedGraph {
  private static final int N = 4;

  private CapturedGraph() {}

  /** @param arguments none */
  public static void main(String[] arguments) {
    try (Device device = Device.open(DeviceSpec.AUTO); Stream stream = device.newStream(); Gemm gemm = new Gemm(stream);
        DeviceBuffer x = device.allocate("x", DType.F32, 1, N); DeviceBuffer w = device.allocate("w", DType.F32, N, N);
        DeviceBuffer y = device.allocate("y", DType.F32, 1, N); DeviceBuffer total = device.allocate("total", DType.F32, 1, N);
        PinnedBuffer in = device.allocatePinned("in", N * Float.BYTES); PinnedBuffer out = device.allocatePinned("out", N * Float.BYTES)) {
      Kernels kernels = new Kernels(device);
      w.set(stream, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0f); // turns a row around
      stream.fill(total, 0);
      try (Graph graph = Graph.capture(stream, () -> {
        stream.uploadAsync(in, 0, x);
        gemm.multiply(x, w, y, 1, N, N);
        kernels.residualAdd.launch(stream, total, y, null, 1, N); // total += y
        stream.downloadAsync(total, out, 0);
      })) {
        for (int replay = 1; replay <= 3; replay++) {
          for (int i = 0; i < N; i++) {
            in.segment().setAtIndex(ValueLayout.JAVA_FLOAT, i, replay * i);
          }
          graph.launch(stream);
          stream.synchronize();
          float[] row = out.segment().toArray(ValueLayout.JAVA_FLOAT);
          System.out.printf("replay %d of %d nodes: %s%n", replay, graph.nodes(), Arrays.toString(row));
        }
      }
    }
  }
}
