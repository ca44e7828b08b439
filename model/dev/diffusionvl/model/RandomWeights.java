// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelShapes;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.FillNormal;
import java.util.Map;

/**
 * Seeded normal numbers in the shapes of a configuration, made on the device: matrices and biases with the deviation that such models are
 * initialised with, norm weights around 1. Each tensor has a stream of its own, so a model cut to its first layers keeps their values.
 */
final class RandomWeights implements WeightSource {
  private static final float DEVIATION = 0.02f; // initializer_range of Qwen2.5

  private final Map<String, long[]> shapes;
  private final long seed;
  private final Stream stream;
  private final FillNormal fillNormal;

  RandomWeights(Device device, ModelConfig config, long seed) {
    this.shapes = ModelShapes.of(config);
    this.seed = seed;
    this.fillNormal = new FillNormal(device);
    this.stream = device.newStream();
  }

  @Override
  public boolean contains(String name) {
    return shapes.containsKey(name);
  }

  @Override
  public long[] shape(String name) {
    long[] shape = shapes.get(name);
    if (shape == null) {
      throw new IllegalArgumentException("the configuration has no tensor " + name);
    }
    return shape.clone();
  }

  @Override
  public void fill(String name, DeviceBuffer target) {
    boolean norm = shape(name).length == 1 && name.endsWith(".weight");
    fillNormal.launch(stream, target, norm ? 1 : 0, DEVIATION, seed ^ (long) name.hashCode() << 32);
  }

  @Override
  public void finish() {
    stream.synchronize();
  }

  @Override
  public void close() {
    stream.close();
  }
}
