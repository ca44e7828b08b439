// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.measure;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;

/**
 * What the rows of a run share: a stream, the kernels, the model shape that sizes come from, and how much is measured. On the emulated
 * device everything is small: there the run is a rehearsal, and its times say nothing about a GPU.
 */
public final class Workbench implements AutoCloseable {
  private static final int L2_BYTES_ATTRIBUTE = 38; // CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE

  private final Device device;
  private final ModelConfig config;
  private final DType dtype;
  private final Stream stream;
  private final Gemm gemm;
  private final Kernels kernels;
  private final Timer timer;

  private final int warmups;
  private final int replays;

  /** A workbench that measures as often as is usual. */
  public Workbench(Device device, ModelConfig config, DType dtype) {
    this(device, config, dtype, -1, 0);
  }

  /**
   * @param warmups before each measurement; negative: as many as are usual
   * @param replays of each measurement; 0: as many as are usual
   */
  public Workbench(Device device, ModelConfig config, DType dtype, int warmups, int replays) {
    this.warmups = warmups;
    this.replays = replays;
    this.device = device;
    this.config = config;
    this.dtype = dtype;
    this.stream = device.newStream();
    this.gemm = new Gemm(stream);
    this.kernels = new Kernels(device);
    this.timer = new Timer(stream);
  }

  public Device device() {
    return device;
  }

  /** The model whose sizes are measured. */
  public ModelConfig config() {
    return config;
  }

  /** Storage type of weights and activations. */
  public DType dtype() {
    return dtype;
  }

  public Stream stream() {
    return stream;
  }

  public Gemm gemm() {
    return gemm;
  }

  public Kernels kernels() {
    return kernels;
  }

  public Timer timer() {
    return timer;
  }

  /** {@code full} on a GPU, {@code rehearsal} on the emulated device. */
  public int pick(int full, int rehearsal) {
    return device.emulated() ? rehearsal : full;
  }

  /** Launches in one captured graph. */
  public int launches() {
    return pick(32, 2);
  }

  public int warmups() {
    return warmups >= 0 ? warmups : pick(20, 1);
  }

  public int replays() {
    return replays > 0 ? replays : pick(200, 3);
  }

  public long l2Bytes() {
    return device.attribute(L2_BYTES_ATTRIBUTE);
  }

  @Override
  public void close() {
    gemm.close();
    stream.close();
  }
}
