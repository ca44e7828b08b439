// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.OutputFile;
import dev.diffusionvl.loader.SafetensorsWriter;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The tensors of a model on the device by canonical name. A tensor is a part of a buffer: of its own, or of one with those that are
 * multiplied together. A tied output matrix is not listed, it is {@code embed_tokens.weight}. Memory with the same buffers and entries,
 * such as gradients, has the same places. Owns the buffers.
 */
public final class Parameters implements AutoCloseable {
  private static final long PIECE_BYTES = 8 << 20;

  private final List<DeviceBuffer> buffers = new ArrayList<>();
  private final Map<String, Parameter> entries = new LinkedHashMap<>();

  Parameters() {}

  /** Takes a buffer over and returns its number. */
  int add(DeviceBuffer buffer) {
    buffers.add(buffer);
    return buffers.size() - 1;
  }

  /** Lists a tensor that lies in one of the buffers. */
  void add(Parameter entry) {
    if (entry.offset() + entry.storedElements() > buffers.get(entry.buffer()).elements()) {
      throw new IllegalArgumentException(entry + " does not fit " + buffers.get(entry.buffer()));
    }
    if (entries.putIfAbsent(entry.name(), entry) != null) {
      throw new IllegalArgumentException(entry.name() + " is listed already");
    }
  }

  /** All buffers, in the order of their numbers. */
  public List<DeviceBuffer> buffers() {
    return Collections.unmodifiableList(buffers);
  }

  /** All tensors, in the order of loading. */
  public Collection<Parameter> entries() {
    return Collections.unmodifiableCollection(entries.values());
  }

  public boolean contains(String name) {
    return entries.containsKey(name);
  }

  /** @throws IllegalArgumentException if there is no tensor of that canonical name */
  public Parameter entry(String name) {
    Parameter entry = entries.get(name);
    if (entry == null) {
      throw new IllegalArgumentException("the model has no tensor " + name);
    }
    return entry;
  }

  /** The part of a buffer that a tensor takes: [rows, elements of a row on the device]. */
  public DeviceBuffer data(Parameter entry) {
    return buffers.get(entry.buffer()).slice(entry.offset(), entry.rows(), entry.layout().storedRow(entry.fileRow()));
  }

  /**
   * A tensor as a file has it, in the type that it has on the device. The device is read when the tensor is written, piece by piece.
   *
   * @param name in the file
   * @param stream reads it, and must live until the tensor is written
   */
  public SafetensorsWriter.Tensor toFile(Parameter entry, String name, Stream stream) {
    return new SafetensorsWriter.Tensor(name, StoredTypes.tensorType(buffers.get(entry.buffer()).dtype()), entry.shape(),
        file -> write(entry, stream, file));
  }

  private void write(Parameter entry, Stream stream, OutputFile file) {
    DeviceBuffer data = data(entry);
    int bytes = data.dtype().bytes();
    long storedRow = data.shape()[1];
    if (data.elements() == 0) {
      return;
    }
    long each = Math.clamp(PIECE_BYTES / (storedRow * bytes), 1, entry.rows());
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment stored = arena.allocate(each * storedRow * bytes, 16);
      MemorySegment plain = arena.allocate(each * entry.fileRow() * bytes, 16);
      for (long row = 0; row < entry.rows(); row += each) {
        long rows = Math.min(each, entry.rows() - row);
        MemorySegment from = stored.asSlice(0, rows * storedRow * bytes);
        MemorySegment to = plain.asSlice(0, rows * entry.fileRow() * bytes);
        stream.download(data.slice(row * storedRow, rows, storedRow), from);
        entry.layout().toFile(from, to, rows, bytes);
        file.write(to);
      }
    }
  }

  /** Frees the buffers. Idempotent. */
  @Override
  public void close() {
    buffers.forEach(DeviceBuffer::close);
  }
}
