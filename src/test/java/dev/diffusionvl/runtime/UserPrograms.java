// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/** What tests of programs in src/test/resources/ptx share: a device, and buffers that are closed after the test. */
abstract class UserPrograms {
  final Random random = new Random(20261128);
  final Arena arena = Arena.ofConfined();
  final List<AutoCloseable> open = new ArrayList<>();
  Device device;
  Stream stream;

  @BeforeEach
  void open() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    stream = device.newStream();
  }

  @AfterEach
  void close() throws Exception {
    for (AutoCloseable resource : open.reversed()) {
      resource.close();
    }
    stream.close();
    device.close();
    arena.close();
  }

  KernelFunction program(String name) {
    return program(name, name);
  }

  KernelFunction program(String file, String function) {
    KernelModule module = device.loadModule(Path.of("src/test/resources/ptx", file + ".ptx"));
    open.add(module);
    return module.function(function);
  }

  DeviceBuffer buffer(DType dtype, long elements) {
    DeviceBuffer buffer = device.allocate("buffer " + open.size(), dtype, elements);
    open.add(buffer);
    stream.fill(buffer, 0);
    return buffer;
  }

  DeviceBuffer floats(float... values) {
    DeviceBuffer buffer = buffer(DType.F32, values.length);
    buffer.set(stream, values);
    return buffer;
  }

  DeviceBuffer ints(int... values) {
    DeviceBuffer buffer = buffer(DType.I32, values.length);
    buffer.set(stream, values);
    return buffer;
  }

  /** A copy of an array of any primitive type, as bytes. */
  DeviceBuffer bytes(MemorySegment values) {
    DeviceBuffer buffer = buffer(DType.U8, values.byteSize());
    stream.upload(arena.allocate(values.byteSize()).copyFrom(values), buffer);
    return buffer;
  }

  MemorySegment content(DeviceBuffer buffer) {
    MemorySegment to = arena.allocate(buffer.bytes(), 8);
    stream.download(buffer, to);
    return to;
  }

  float[] randomFloats(int n) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = random.nextFloat(-1, 1);
    }
    return values;
  }

  int[] randomInts(int n, int from, int to) {
    return random.ints(n, from, to).toArray();
  }
}
