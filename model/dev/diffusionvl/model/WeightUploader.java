// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;


import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.Checkpoint;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.loader.TensorView;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * Copies a checkpoint's tensors to the device in the model's dtype, through one staging buffer. Owns what it uploaded until {@link #release} hands
 * it over.
 */
final class WeightUploader implements AutoCloseable {
  private static final long STAGING_BYTES = 8L << 20;

  private final Device device;
  private final Stream stream;
  private final Checkpoint checkpoint;
  private final DType dtype;
  private final boolean tiedHead;
  private final Arena arena = Arena.ofConfined();
  private final MemorySegment staging = arena.allocate(STAGING_BYTES, 64);
  private List<DeviceBuffer> buffers = new ArrayList<>();

  WeightUploader(Device device, Stream stream, Checkpoint checkpoint, DType dtype, boolean tieWordEmbeddings) {
    this.device = device;
    this.stream = stream;
    this.checkpoint = checkpoint;
    this.dtype = dtype;
    this.tiedHead = tieWordEmbeddings || !checkpoint.contains("lm_head.weight");
  }

  /** True when logits are computed with the embedding matrix. */
  boolean tiedHead() {
    return tiedHead;
  }

  /** One tensor with the checkpoint's shape; more than two dimensions are flattened to [first, rest]. */
  DeviceBuffer tensor(String name) {
    TensorView view = checkpoint.tensor(name);
    long[] shape = view.shape();
    if (shape.length > 2) {
      shape = new long[] {shape[0], elements(view) / shape[0]};
    }
    DeviceBuffer buffer = allocate(name, shape);
    upload(view, buffer);
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
      shape = checkpoint.tensor(name + suffix).shape().clone();
      rows += shape[0];
    }
    shape[0] = rows;
    DeviceBuffer all = allocate(String.join("+", names) + suffix, shape);
    long offset = 0;
    for (String name : names) {
      TensorView view = checkpoint.tensor(name + suffix);
      upload(view, all.slice(offset, elements(view)));
      offset += elements(view);
    }
    return all;
  }

  private DeviceBuffer allocate(String name, long... shape) {
    DeviceBuffer buffer = device.allocate(name, dtype, shape);
    buffers.add(buffer);
    return buffer;
  }

  private static long elements(TensorView view) {
    long n = 1;
    for (long d : view.shape()) {
      n *= d;
    }
    return n;
  }

  private void upload(TensorView view, DeviceBuffer target) {
    long elements = elements(view);
    if (sameType(view.type())) {
      // mapped file -> device; the driver pages the mapping in
      stream.upload(view.data(), target);
      return;
    }
    long chunk = STAGING_BYTES / 4;
    for (long at = 0; at < elements; at += chunk) {
      long n = Math.min(chunk, elements - at);
      for (long i = 0; i < n; i++) {
        float value = value(view, at + i);
        if (dtype == DType.F32) {
          staging.setAtIndex(java.lang.foreign.ValueLayout.JAVA_FLOAT, i, value);
        } else {
          staging.setAtIndex(java.lang.foreign.ValueLayout.JAVA_SHORT, i, DType.toBf16(value));
        }
      }
      stream.upload(staging.asSlice(0, n * dtype.bytes()), target.slice(at, n));
    }
  }

  private boolean sameType(TensorType type) {
    return type == TensorType.BF16 && dtype == DType.BF16 || type == TensorType.F32 && dtype == DType.F32;
  }

  private static float value(TensorView view, long i) {
    return switch (view.type()) {
      case F32 -> view.data().get(JAVA_FLOAT_UNALIGNED, 4 * i);
      case BF16 -> DType.fromBf16(view.data().get(JAVA_SHORT_UNALIGNED, 2 * i));
      case F16 -> Float.float16ToFloat(view.data().get(JAVA_SHORT_UNALIGNED, 2 * i));
      default -> throw new BadInputException("tensor " + view.name() + ": dtype " + view.type() + " is not a weight type (BF16, F16, F32)");
    };
  }

  /** Hands the uploaded buffers over; after this, closing the uploader frees only its staging memory. */
  List<DeviceBuffer> release() {
    List<DeviceBuffer> all = buffers;
    buffers = List.of();
    return all;
  }

  @Override
  public void close() {
    buffers.forEach(DeviceBuffer::close);
    arena.close();
  }
}
