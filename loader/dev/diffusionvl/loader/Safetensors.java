// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collections;
import java.util.Map;
import java.util.Set;

/**
 * One safetensors file: 8 bytes header length, JSON header, data. Either mapped as a whole or with its header read
 * only; the latter costs a few milliseconds whatever the size of the file. Immutable and safe for use by several
 * threads until closed.
 */
public final class Safetensors implements AutoCloseable {
  /** Largest header accepted, the limit of the format's own implementation. */
  static final int MAX_HEADER_BYTES = 100_000_000;

  private final Path file;
  private final Map<String, SafetensorsHeader.Entry> entries;
  private final Arena arena;
  private final MemorySegment data;
  private final long size;

  private Safetensors(Path file, long size, Map<String, SafetensorsHeader.Entry> entries, Arena arena, MemorySegment data) {
    this.file = file;
    this.size = size;
    this.entries = entries;
    this.arena = arena;
    this.data = data;
  }

  /**
   * Opens and maps a file.
   *
   * @throws BadInputException if it is missing, unreadable or not a well-formed safetensors file
   */
  public static Safetensors open(Path file) {
    return open(file, true);
  }

  /** Reads and checks the header only; {@link TensorView#data} of its tensors is null. */
  public static Safetensors openHeader(Path file) {
    return open(file, false);
  }

  private static Safetensors open(Path file, boolean map) {
    InputFiles.requireFile(file);
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      long size = channel.size();
      ForeignContent.refuse(file, readFully(channel, 0, (int) Math.min(size, ForeignContent.HEAD_BYTES)));
      int headerBytes = headerLength(file, channel, size);
      byte[] header = readFully(channel, 8, headerBytes);
      long dataStart = 8L + headerBytes;
      long dataBytes = size - dataStart;
      Map<String, SafetensorsHeader.Entry> entries = SafetensorsHeader.parse(file, header, dataBytes);
      if (!map) {
        return new Safetensors(file, size, entries, null, null);
      }
      // shared: weights may be copied by several threads
      Arena arena = Arena.ofShared();
      try {
        MemorySegment data = channel.map(FileChannel.MapMode.READ_ONLY, dataStart, dataBytes, arena);
        return new Safetensors(file, size, entries, arena, data);
      } catch (IOException | RuntimeException e) {
        arena.close();
        throw e;
      }
    } catch (IOException e) {
      throw InputFiles.failure(file, e);
    }
  }

  private static int headerLength(Path file, FileChannel channel, long size) throws IOException {
    if (size < 8) {
      throw BadInputException.of(file, "header", "the file holds " + size + " bytes, too few for a safetensors file");
    }
    long length = ByteBuffer.wrap(readFully(channel, 0, 8)).order(ByteOrder.LITTLE_ENDIAN).getLong();
    if (length < 0 || length > MAX_HEADER_BYTES) {
      throw BadInputException.of(file, "header", "length " + Long.toUnsignedString(length) + " exceeds the limit of "
          + MAX_HEADER_BYTES + " bytes: is this a safetensors file?");
    }
    if (length > size - 8) {
      throw BadInputException.of(file, "header", "length " + length + ", but only " + (size - 8)
          + " bytes follow: truncated?");
    }
    return (int) length;
  }

  private static byte[] readFully(FileChannel channel, long position, int length) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(length);
    while (buffer.hasRemaining()) {
      int read = channel.read(buffer, position + buffer.position());
      if (read < 0) {
        throw new EOFException("the file became shorter");
      }
    }
    return buffer.array();
  }

  void requireWhole() {
    if (InputFiles.requireFile(file) < size) {
      throw BadInputException.of(file, "became shorter while it was read");
    }
  }

  /** The file this was read from. */
  public Path file() {
    return file;
  }

  /** Names of all tensors, in the order of the header. */
  public Set<String> names() {
    return Collections.unmodifiableSet(entries.keySet());
  }

  /**
   * @throws BadInputException if there is no tensor of that name
   */
  public TensorView tensor(String name) {
    SafetensorsHeader.Entry entry = entries.get(name);
    if (entry == null) {
      throw BadInputException.of(file, name, "missing");
    }
    long bytes = entry.end() - entry.begin();
    MemorySegment view = data == null ? null : data.asSlice(entry.begin(), bytes);
    return new TensorView(name, entry.type(), entry.shape().clone(), bytes, view);
  }

  /** Unmaps the file; views of its tensors throw from then on. Idempotent. */
  @Override
  public void close() {
    if (arena != null && arena.scope().isAlive()) {
      arena.close();
    }
  }
}
