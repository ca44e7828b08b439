// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.PinnedBuffer;
import dev.diffusionvl.runtime.Stream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * How the rows of a pass are grouped and what they see; mirrors {@code cuda/include/segment.cuh}. Fill with {@link #add}, then
 * {@link #upload}; launches use what was uploaded last. A table may hold the segments of several passes, each launched by its
 * {@link #view}.
 */
public final class Segments implements AutoCloseable {
  private static final int FIELDS = 8; // the last one is reserved: 0

  /** What a row sees of its own segment, behind the context. The order is that of the CUDA side. */
  public enum Own {
    /** Nothing; the context may hold the segment's slots all the same. */
    NONE,
    /** All rows of the segment: a block that is denoised, a draft, a window of an image. */
    SELF,
    /** The rows of the segment up to and including the row itself: autoregressive decoding, prefill and training. */
    CAUSAL
  }

  private final int capacity;
  private final DeviceBuffer buffer;
  private final Segments table; // this, or what this is a view of
  private final int from; // first segment of the table
  private final DeviceScope owned; // null: a view owns nothing
  private final MemorySegment host;
  private int count;
  private int rowBegin = Integer.MAX_VALUE;
  private int rowEnd;
  private int maxRows;
  private int maxKeys;
  private int slotEnd;
  private int positionEnd;
  private boolean uploaded;

  public Segments(Device device, int capacity) {
    if (capacity < 1) {
      throw new IllegalArgumentException("segments: capacity is " + capacity);
    }
    this.capacity = capacity;
    table = this;
    from = 0;
    try (DeviceScope scope = new DeviceScope(device)) {
      buffer = scope.allocate("segments", DType.I32, capacity, FIELDS);
      host = scope.own(Arena.ofShared()).allocate((long) capacity * FIELDS * Integer.BYTES, 16);
      owned = scope.keep();
    }
  }

  private Segments(Segments table, int from, int count) {
    this.table = table;
    this.from = from;
    capacity = 0;
    owned = null;
    buffer = table.buffer.slice((long) from * FIELDS, count, FIELDS);
    host = table.host;
    for (int i = from; i < from + count; i++) {
      include(field(i, 0), field(i, 1), field(i, 2), field(i, 3), field(i, 4), field(i, 5), Own.values()[field(i, 6)]);
    }
  }

  /**
   * Segments {@code first} to {@code first + viewed} as a pass of their own. Rows keep their numbers. A view follows the table's uploads as
   * long as its segments keep their sizes.
   */
  public Segments view(int first, int viewed) {
    if (first < 0 || viewed < 0 || first > count - viewed) {
      throw new IllegalArgumentException("segments: view of %d from %d out of %d".formatted(viewed, first, count));
    }
    return new Segments(table, from + first, viewed);
  }

  private int field(int segment, int field) {
    return host.getAtIndex(JAVA_INT, (long) segment * FIELDS + field);
  }

  private void include(int row, int rows, int position, int slot, int contextBegin, int contextEnd, Own own) {
    count++;
    rowBegin = Math.min(rowBegin, row);
    rowEnd = Math.max(rowEnd, Math.addExact(row, rows));
    maxRows = Math.max(maxRows, rows);
    maxKeys = Math.max(maxKeys, Math.addExact(contextEnd - contextBegin, own == Own.NONE ? 0 : rows));
    slotEnd = Math.max(slotEnd, Math.max(contextEnd, Math.addExact(slot, rows)));
    positionEnd = Math.max(positionEnd, Math.addExact(position, rows));
  }

  /** Forgets all segments. */
  public void clear() {
    count = 0;
    rowBegin = Integer.MAX_VALUE;
    rowEnd = 0;
    maxRows = 0;
    maxKeys = 0;
    slotEnd = 0;
    positionEnd = 0;
    uploaded = false;
  }

  /**
   * Adds a segment. Each of its rows sees the context, and of its own segment what {@code own} says; nothing else in a pass says who sees
   * whom. All rows of a pass are stored before any of them sees, so a context may hold slots of other segments of the pass.
   *
   * @param row its first row among the rows of the pass
   * @param rows number of rows
   * @param position of the first row: row i is rotated by row {@code position + i} of the table of angles
   * @param slot cache slot of the first row
   * @param contextBegin first slot of the context
   * @param contextEnd one past its last slot
   * @param own what a row sees of its own segment
   * @throws IllegalArgumentException also when the context holds slots of a segment that sees itself: they would count twice
   */
  public void add(int row, int rows, int position, int slot, int contextBegin, int contextEnd, Own own) {
    if (count == capacity) {
      throw new IllegalArgumentException("segments: more than " + capacity);
    }
    boolean twice = own != Own.NONE && Math.max(slot, contextBegin) < Math.min((long) slot + rows, contextEnd);
    if ((row | rows | position | slot | contextBegin) < 0 || contextEnd < contextBegin || twice) {
      String why = twice ? ": its own slots are in its context already" : "";
      throw new IllegalArgumentException("segments: row %d, rows %d, position %d, slot %d, context %d to %d, sees of itself %s%s"
          .formatted(row, rows, position, slot, contextBegin, contextEnd, own, why));
    }
    int[] fields = {row, rows, position, slot, contextBegin, contextEnd, own.ordinal(), 0};
    MemorySegment.copy(fields, 0, host, JAVA_INT, (long) count * FIELDS * Integer.BYTES, FIELDS);
    include(row, rows, position, slot, contextBegin, contextEnd, own);
    uploaded = false;
  }

  /** Copies the segments to the device. */
  public void upload(Stream stream) {
    stream.upload(host.asSlice(0, (long) count * FIELDS * Integer.BYTES), buffer);
    uploaded = true;
  }

  /**
   * Queues the copy of the segments to the device and waits for nothing.
   *
   * @param staging gets them from byte {@code offset} on; these bytes must not change until the copy has run
   */
  public void upload(Stream stream, PinnedBuffer staging, long offset) {
    if (count > 0) {
      MemorySegment.copy(host, 0, staging.segment(), offset, bytes(count));
      stream.uploadAsync(staging, offset, buffer.slice(0, count, FIELDS));
    }
    uploaded = true;
  }

  /** Bytes of so many segments in staging memory. */
  public static long bytes(int segments) {
    return (long) segments * FIELDS * Integer.BYTES;
  }

  /** Number of segments. */
  public int count() {
    return count;
  }

  /** First row of the pass; 0 when there is none. */
  public int firstRow() {
    return count == 0 ? 0 : rowBegin;
  }

  /** One past the last row of the pass. */
  public int totalRows() {
    return rowEnd;
  }

  /** Rows of the largest segment. */
  public int maxRows() {
    return maxRows;
  }

  /** Keys of the longest list that a row sees. */
  public int maxKeys() {
    return maxKeys;
  }

  /** One past the highest cache slot that is written or seen. */
  int slotEnd() {
    return slotEnd;
  }

  /** One past the highest position. */
  int positionEnd() {
    return positionEnd;
  }

  /** The uploaded structs, I32 [capacity, 8]. */
  DeviceBuffer buffer() {
    if (!table.uploaded) {
      throw new IllegalStateException("segments: not uploaded since the last change");
    }
    return buffer;
  }

  @Override
  public void close() {
    if (owned != null) {
      owned.close();
    }
  }
}
