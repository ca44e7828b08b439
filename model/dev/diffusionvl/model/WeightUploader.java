// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;


import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * Puts a model's tensors into device memory, in the model's dtype and stacked as the kernels want them. Owns the buffers until
 * {@link #release} hands them over.
 */
final class WeightUploader implements AutoCloseable {
  private final Device device;
  private final WeightSource source;
  private final DType dtype;
  private final boolean tiedHead;
  private List<DeviceBuffer> buffers = new ArrayList<>();

  WeightUploader(Device device, WeightSource source, DType dtype, boolean tieWordEmbeddings) {
    this.device = device;
    this.source = source;
    this.dtype = dtype;
    this.tiedHead = tieWordEmbeddings || !source.contains("lm_head.weight");
  }

  /** True when logits are computed with the embedding matrix. */
  boolean tiedHead() {
    return tiedHead;
  }

  /** One tensor with the source's shape; more than two dimensions are flattened to [first, rest]. */
  DeviceBuffer tensor(String name) {
    long[] shape = source.shape(name);
    if (shape.length > 2) {
      shape = new long[] {shape[0], elements(shape) / shape[0]};
    }
    DeviceBuffer buffer = allocate(name, shape);
    source.fill(name, buffer);
    return buffer;
  }

  /** A linear layer from the tensors {@code name.weight} and, with {@code bias}, {@code name.bias}; several are stacked along out. */
  LinearWeights linear(boolean bias, String... names) {
    return new LinearWeights(stacked(".weight", names), bias ? stacked(".bias", names) : null);
  }

  private DeviceBuffer stacked(String suffix, String... names) {
    if (names.length == 1) {
      return tensor(names[0] + suffix);
    }
    long rows = 0;
    long[] shape = null;
    for (String name : names) {
      shape = source.shape(name + suffix);
      rows += shape[0];
    }
    shape[0] = rows;
    DeviceBuffer all = allocate(String.join("+", names) + suffix, shape);
    long offset = 0;
    for (String name : names) {
      long elements = elements(source.shape(name + suffix));
      source.fill(name + suffix, all.slice(offset, elements));
      offset += elements;
    }
    return all;
  }

  private DeviceBuffer allocate(String name, long... shape) {
    DeviceBuffer buffer = device.allocate(name, dtype, shape);
    buffers.add(buffer);
    return buffer;
  }

  private static long elements(long[] shape) {
    long n = 1;
    for (long d : shape) {
      n *= d;
    }
    return n;
  }

  /** Waits until every tensor is there and hands the buffers over; after this, closing the uploader frees nothing. */
  List<DeviceBuffer> release() {
    source.finish();
    List<DeviceBuffer> all = buffers;
    buffers = List.of();
    return all;
  }

  @Override
  public void close() {
    buffers.forEach(DeviceBuffer::close);
  }
}
