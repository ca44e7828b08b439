// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples.lowlevel;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Event;
import dev.diffusionvl.runtime.KernelFunction;
import dev.diffusionvl.runtime.KernelModule;
import dev.diffusionvl.runtime.Stream;
import java.nio.file.Path;

/**
 * A program's own kernel, from its own PTX: adds two vectors. The emulated device takes the host module vector_add.so beside the
 * PTX instead, which {@code make -C cuda module SOURCE=...} builds from the same CUDA source.
 */
public final class OwnKernel {
  private static final int N = 1000;

  private OwnKernel() {}

  /** @param arguments the PTX file, by default the one that the build puts into target/native/samples */
  public static void main(String[] arguments) {
    Path file = Path.of(arguments.length > 0 ? arguments[0] : "target/native/samples/vector_add.ptx");
    try (Device device = Device.open(DeviceSpec.AUTO); Stream stream = device.newStream(); KernelModule module = device.loadModule(file);
        DeviceBuffer x = device.allocate("x", DType.F32, N); DeviceBuffer y = device.allocate("y", DType.F32, N);
        DeviceBuffer sum = device.allocate("sum", DType.F32, N);
        Event start = device.newEvent(true); Event end = device.newEvent(true)) {
      float[] values = new float[N];
      for (int i = 0; i < N; i++) {
        values[i] = i;
      }
      x.set(stream, values);
      y.set(stream, values);

      KernelFunction add = module.function("vector_add");
      int threads = 256;
      start.record(stream);
      stream.launch(add, (N + threads - 1) / threads, 1, 1, threads, 0).ptr(x).ptr(y).ptr(sum).i32(N).go();
      end.record(stream);
      end.synchronize();

      Device.MemoryInfo memory = device.memory();
      System.out.printf("%s: %d of %d bytes of memory free%n", device.name(), memory.free(), memory.total());
      System.out.printf("%s with %d registers per thread took %.3f ms%n", add.name(), add.registers(), end.millisSince(start));
      System.out.printf("%d + %d = %.0f%n", N - 1, N - 1, sum.getFloats(stream)[N - 1]);
    }
  }
}
