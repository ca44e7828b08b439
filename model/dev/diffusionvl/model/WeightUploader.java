// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.PackedLayout;
import dev.diffusionvl.runtime.op.WeightMatrix;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Puts a model's tensors into device memory, in the model's dtype and stacked as the kernels want them. Owns the buffers until
 * {@link #release} hands them over.
 */
final class WeightUploader implements AutoCloseable {
  /** Features of padded layers are a multiple of this: 16 bytes in bf16, as wide accesses and fast matrix products want rows to begin. */
  static final int ROW_MULTIPLE = 8;

  private static final Layout PLAIN = new Layout.Plain();

  private final Device device;
  private final WeightSource source;
  private final DType dtype;
  private final boolean tiedHead;
  private final List<Runnable> whenFilled = new ArrayList<>();
  private Parameters parameters = new Parameters();

  /** @param device null: nothing is allocated, the buffers are outlines */
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
    return tensor(name, PLAIN);
  }

  private DeviceBuffer tensor(String name, Layout layout) {
    long[] shape = source.shape(name);
    if (shape.length > 2) {
      shape = new long[] {shape[0], elements(shape) / shape[0]};
    }
    DeviceBuffer buffer = allocate(name, shape);
    fill(name, buffer, 0, layout);
    return buffer;
  }

  /** Begins to fill a part of the latest buffer with a tensor, which has {@code layout} once everything is there. */
  private void fill(String name, DeviceBuffer buffer, long offset, Layout layout) {
    long[] shape = source.shape(name);
    source.fill(name, buffer.slice(offset, shape));
    parameters.add(new Parameter(name, shape, parameters.buffers().size() - 1, offset, layout));
  }

  /** A convolution's weight [out, channels, height, width], laid out channels last: [out, height · width · channels]. */
  DeviceBuffer channelsLast(String name) {
    int channels = (int) source.shape(name)[1];
    DeviceBuffer buffer = tensor(name, new Layout.ChannelsLast(channels));
    whenFilled.add(() -> putChannelsLast(buffer, channels));
    return buffer;
  }

  private void putChannelsLast(DeviceBuffer buffer, int channels) {
    try (Stream stream = device.newStream()) {
      float[] values = buffer.getFloats(stream);
      float[] permuted = new float[values.length];
      int inside = (int) buffer.shape()[1];
      int places = inside / channels;
      for (int i = 0; i < values.length; i++) {
        int at = i % inside;
        permuted[i - at + at % places * channels + at / places] = values[i];
      }
      buffer.set(stream, permuted);
    }
  }

  /**
   * A linear layer like {@link #linear}, with zeros after each part, so that it has a multiple of {@link #ROW_MULTIPLE} output features.
   * Zeros are also what swiglu makes of them; the next layer takes them by {@link #paddedInputs}.
   */
  Linear.Dense paddedOutputs(boolean bias, String... names) {
    return new Linear.Dense(padded(".weight", names), bias ? padded(".bias", names) : null);
  }

  private DeviceBuffer padded(String suffix, String... names) {
    long[] shape = source.shape(names[0] + suffix);
    long rows = roundedUp(shape[0]);
    if (rows == shape[0]) {
      return stacked(suffix, names);
    }
    shape[0] = rows * names.length;
    DeviceBuffer all = zeros(String.join("+", names) + suffix, shape);
    long stride = all.elements() / names.length;
    for (int i = 0; i < names.length; i++) {
      fill(names[i] + suffix, all, i * stride, PLAIN);
    }
    return all;
  }

  /** A linear layer that takes the output of one with {@link #paddedOutputs}: rows of its weight end with zeros. */
  Linear.Dense paddedInputs(boolean bias, String name) {
    long[] shape = source.shape(name + ".weight");
    DeviceBuffer vector = bias ? tensor(name + ".bias") : null;
    long columns = roundedUp(shape[1]);
    if (columns == shape[1]) {
      return new Linear.Dense(tensor(name + ".weight"), vector);
    }
    DeviceBuffer weight = allocate(name + ".weight", shape[0], columns);
    fill(name + ".weight", weight, 0, new Layout.PaddedRows(columns));
    whenFilled.add(() -> widenRows(weight, shape));
    return new Linear.Dense(weight, vector);
  }

  /** The buffer begins with a matrix of fewer columns: its rows move to where they belong, zeros behind them. */
  private void widenRows(DeviceBuffer buffer, long[] narrow) {
    try (Stream stream = device.newStream(); DeviceBuffer copy = device.allocate("unpadded weight", dtype, narrow)) {
      stream.copy(buffer.slice(0, narrow), copy);
      stream.fill(buffer, 0);
      stream.copyRows(copy, buffer);
      stream.synchronize();
    }
  }

  /** Features of a padded layer. */
  static long roundedUp(long features) {
    return (features + ROW_MULTIPLE - 1) / ROW_MULTIPLE * ROW_MULTIPLE;
  }

  private DeviceBuffer zeros(String name, long... shape) {
    DeviceBuffer buffer = allocate(name, shape);
    if (device != null) {
      try (Stream stream = device.newStream()) {
        stream.fill(buffer, 0);
        stream.synchronize(); // before the source's own streams write to it
      }
    }
    return buffer;
  }

  /** A linear layer from the tensors {@code name.weight} and, with {@code bias}, {@code name.bias}; several are stacked along out. */
  Linear.Dense linear(boolean bias, String... names) {
    return new Linear.Dense(stacked(".weight", names), bias ? stacked(".bias", names) : null);
  }

  /**
   * A linear layer like {@link #linear}. Where the model is in BF16 or F16 and the source has codes and scales for all of its parts, it
   * keeps them.
   *
   * @param paired rows of the halves of out are used together: gate and up
   */
  Linear packable(boolean bias, boolean paired, String... names) {
    List<String> weights = Arrays.stream(names).map(name -> name + ".weight").toList();
    WeightSource.Packing packing = dtype == DType.F32 ? null : source.packing(weights, paired);
    if (packing == null) {
      return linear(bias, names);
    }
    String what = String.join("+", names);
    PackedLayout layout = packing.layout();
    DeviceBuffer codes = allocate(what + ", codes", DType.U8, layout.codeBytes());
    DeviceBuffer scales = allocate(what + ", scales", DType.F32, layout.scales());
    DeviceBuffer zeros = packing.zeros() ? allocate(what + ", zeros", DType.U8, layout.scales()) : null;
    WeightMatrix.Packed matrix = new WeightMatrix.Packed(layout, codes, scales, zeros);
    source.fill(weights, matrix, dtype);
    return new Linear.Packed(matrix, bias ? stacked(".bias", names) : null);
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
      fill(name + suffix, all, offset, PLAIN);
      offset += elements(source.shape(name + suffix));
    }
    return all;
  }

  private DeviceBuffer allocate(String name, long... shape) {
    return allocate(name, dtype, shape);
  }

  private DeviceBuffer allocate(String name, DType dtype, long... shape) {
    DeviceBuffer buffer = device == null ? DeviceBuffer.outline(name, dtype, shape) : device.allocate(name, dtype, shape);
    parameters.add(buffer);
    return buffer;
  }

  private static long elements(long[] shape) {
    long n = 1;
    for (long d : shape) {
      n *= d;
    }
    return n;
  }

  /** Waits until every tensor is there and hands all over; after this, closing the uploader frees nothing. */
  Parameters release() {
    source.finish();
    whenFilled.forEach(Runnable::run);
    return outlines();
  }

  /** Hands all over as it is. */
  Parameters outlines() {
    Parameters all = parameters;
    parameters = new Parameters();
    return all;
  }

  @Override
  public void close() {
    parameters.close();
  }
}
