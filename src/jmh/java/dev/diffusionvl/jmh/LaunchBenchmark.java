// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.jmh;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Heads;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.Rope;
import dev.diffusionvl.runtime.op.Segments;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What a launch costs the host: launcher, checks, parameters, JNI and JCuda, on a stub driver that returns at once. Sampled, so that the
 * median tells the cost on a machine that does other things too.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 2, jvmArgsAppend = {"--enable-native-access=ALL-UNNAMED", "-Ddvl.emulated.build=stub"})
public class LaunchBenchmark {
  private Device device;
  private Stream stream;
  private Kernels kernels;
  private DeviceBuffer a;
  private DeviceBuffer b;
  private DeviceBuffer acc;
  private Segments segments;
  private Rope rope;
  private KeyValues kv;

  @Setup
  public void open() {
    device = Device.open(DeviceSpec.EMULATED);
    stream = device.newStream();
    kernels = new Kernels(device);
    a = device.allocate("a", DType.BF16, 1 << 20);
    b = device.allocate("b", DType.BF16, 1 << 20);
    acc = device.allocate("acc", DType.F32, 1 << 20);
    rope = new Rope(acc, acc);
    kv = new KeyValues(b, b, new Heads(16, 2, 128), 128);
    segments = new Segments(device, 1);
    segments.add(0, 8, 100, 100, 0, 100, Segments.Own.SELF);
    segments.upload(stream);
  }

  @TearDown
  public void close() {
    segments.close();
    a.close();
    b.close();
    acc.close();
    stream.close();
    device.close();
  }

  /** Three buffers, three scalars. */
  @Benchmark
  public void rmsNorm() {
    kernels.rmsNorm.launch(stream, a, b, a, 8, 3584, 1e-6f);
  }

  /** Seven buffers and the segments, four scalars: the most parameters of a layer's launches. */
  @Benchmark
  public void ropeKvAppend() {
    kernels.ropeKvAppend.launch(stream, acc, b, rope, segments, a, kv);
  }
}
