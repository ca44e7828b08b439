// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelShapes;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.FillNormal;
import dev.diffusionvl.runtime.op.PackedLayout;
import dev.diffusionvl.runtime.op.WeightForm;
import dev.diffusionvl.runtime.op.WeightMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Seeded normal numbers in the shapes of a configuration, made on the device: matrices and biases with the deviation that such models are
 * initialised with, norm weights around 1. Each tensor has a stream of its own, so a model cut to its first layers keeps their values.
 */
final class RandomWeights implements WeightSource {
  private static final float DEVIATION = 0.02f; // initializer_range of Qwen2.5

  private static final int GROUP_SHIFT = 7; // of int4: groups of 128
  private static final float SCALE = 4e-3f; // of int4 codes, which makes about DEVIATION; random E4M3 are 40 times as wide
  private static final int CODES = 1 << 20;

  private final Map<String, long[]> shapes;
  private final WeightForm form;
  private final long seed;
  private final Stream stream;
  private final FillNormal fillNormal;

  /** @param form of the language model's layers; DENSE: numbers */
  RandomWeights(Device device, ModelConfig config, WeightForm form, long seed) {
    this.form = form;
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
  public Packing packing(List<String> names, boolean paired) {
    if (form == WeightForm.DENSE || !names.getFirst().startsWith("layers.")) {
      return null;
    }
    int out = names.stream().mapToInt(name -> (int) shape(name)[0]).sum();
    int shift = form == WeightForm.INT4 ? GROUP_SHIFT : PackedLayout.ONE_GROUP;
    return new Packing(new PackedLayout(form, out, (int) shape(names.getFirst())[1], paired, shift), false);
  }

  /** The same codes again and again, which cost a product as much as others would. */
  @Override
  public void fill(List<String> names, WeightMatrix.Packed target, DType dtype) {
    byte[] codes = new byte[(int) Math.min(CODES, target.codes().elements())];
    new Random(seed ^ names.hashCode()).nextBytes(codes);
    for (int i = 0; i < codes.length; i++) {
      codes[i] -= (byte) ((codes[i] & 0x7f) == 0x7f ? 1 : 0); // NaN of E4M3
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment staged = arena.allocate(codes.length).copyFrom(MemorySegment.ofArray(codes));
      for (long at = 0; at < target.codes().elements(); at += codes.length) {
        long count = Math.min(codes.length, target.codes().elements() - at);
        stream.upload(staged.asSlice(0, count), target.codes().slice(at, count));
      }
    }
    fillNormal.launch(stream, target.scales(), SCALE / (form == WeightForm.INT4 ? 1 : 40), 1e-5f, seed);
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
