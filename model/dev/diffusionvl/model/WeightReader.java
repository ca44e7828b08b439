// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.loader.TensorView;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Event;
import dev.diffusionvl.runtime.PinnedBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.PackWeights;
import dev.diffusionvl.runtime.op.PackedLayout;
import dev.diffusionvl.runtime.op.WeightForm;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;

/**
 * Copies pieces of mapped tensors to the device through two pinned buffers: while one travels, the other is filled from the file, converted
 * on the way where the types differ. For one thread at a time.
 */
final class WeightReader implements AutoCloseable {
  /** Largest piece on the device, and size of a pinned buffer. */
  static final long BUFFER_BYTES = 8L << 20;

  private static final int F16_INFINITY = 0x7c00;

  private final DeviceScope owned;
  private final Stream stream;
  private final PackWeights packWeights;
  private final DeviceBuffer codes; // row by row, before they are packed; null where nothing is
  private final PinnedBuffer[] buffers = new PinnedBuffer[2];
  private final Event[] copied = new Event[2];
  private int next;

  /** @param packs whether {@link #pack} will be called */
  WeightReader(Device device, boolean packs) {
    packWeights = new PackWeights(device);
    try (DeviceScope scope = new DeviceScope(device)) {
      stream = scope.newStream();
      codes = packs ? scope.allocate("codes to be packed", DType.U8, BUFFER_BYTES) : null;
      for (int i = 0; i < 2; i++) {
        buffers[i] = scope.allocatePinned("weight staging", BUFFER_BYTES);
        copied[i] = scope.newEvent(false);
        copied[i].record(stream);
      }
      owned = scope.keep();
    }
  }

  /** Copies as many elements as {@code target} has, from element {@code from} of the tensor on. Returns when they have left the file. */
  void copy(TensorView view, long from, DeviceBuffer target) {
    copied[next].synchronize();
    MemorySegment staging = buffers[next].segment().asSlice(0, target.bytes());
    long size = view.type().bytes();
    convert(view, view.data().asSlice(from * size, target.elements() * size), staging, target.dtype());
    stream.uploadAsync(buffers[next], 0, target);
    copied[next].record(stream);
    next = 1 - next;
  }

  /**
   * Brings codes of a tile into their order, by the device.
   *
   * @param tile writes [{@link PackedLayout#TILE}, columns] codes, one byte each
   * @param units gets them
   */
  void pack(WeightForm form, int columns, Consumer<MemorySegment> tile, DeviceBuffer units) {
    copied[next].synchronize();
    DeviceBuffer part = codes.slice(0, (long) PackedLayout.TILE * columns);
    tile.accept(buffers[next].segment().asSlice(0, part.bytes()));
    stream.uploadAsync(buffers[next], 0, part);
    copied[next].record(stream);
    packWeights.launch(stream, form, part, columns, units);
    next = 1 - next;
  }

  private static void convert(TensorView view, MemorySegment from, MemorySegment to, DType dtype) {
    long n = to.byteSize() / dtype.bytes();
    switch (view.type()) {
      case TensorType type when StoredTypes.dtype(type) == dtype -> MemorySegment.copy(from, 0, to, 0, to.byteSize());
      case F32 -> {
        for (long i = 0; i < n; i++) {
          put(view, from.getAtIndex(JAVA_FLOAT_UNALIGNED, i), to, i, dtype);
        }
      }
      case BF16 -> {
        for (long i = 0; i < n; i++) {
          put(view, DType.fromBf16(from.getAtIndex(JAVA_SHORT_UNALIGNED, i)), to, i, dtype);
        }
      }
      case F16 -> {
        for (long i = 0; i < n; i++) {
          put(view, Float.float16ToFloat(from.getAtIndex(JAVA_SHORT_UNALIGNED, i)), to, i, dtype);
        }
      }
      default -> throw new BadInputException("tensor " + view.name() + ": dtype " + view.type() + " is not a weight type (BF16, F16, F32)");
    }
  }

  private static void put(TensorView view, float value, MemorySegment to, long i, DType dtype) {
    if (dtype == DType.F32) {
      to.setAtIndex(JAVA_FLOAT, i, value);
      return;
    }
    if (dtype == DType.F16) {
      requireF16(view.name(), value);
    }
    to.setAtIndex(JAVA_SHORT, i, dtype.toHalf(value));
  }

  /** @throws BadInputException if a finite number is not finite in float16 */
  static void requireF16(String name, float value) {
    if ((DType.F16.toHalf(value) & 0x7fff) == F16_INFINITY && !Float.isInfinite(value)) {
      throw new BadInputException("tensor " + name + ": " + value + " is beyond float16's 65,504; use --dtype bf16");
    }
  }

  /** Waits for all copies. */
  void finish() {
    stream.synchronize();
  }

  @Override
  public void close() {
    owned.close();
  }
}
