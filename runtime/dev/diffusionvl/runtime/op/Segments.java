// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * How the rows of a pass are grouped and what they see; mirrors {@code cuda/include/segment.cuh}. Fill with {@link #add}, then
 * {@link #upload}; launches use what was uploaded last. A table may hold the segments of several passes, each launched by its {@link #view}.
 */
public final class Segments implements AutoCloseable {
  private static final int FIELDS = 8;

  private final int capacity;
  private final DeviceBuffer buffer;
  private final Segments table; // this, or what this is a view of
  private final int from; // first segment of the table
  private final Arena arena;
  private final MemorySegment host;
  private int count;
  private int rowBegin = Integer.MAX_VALUE;
  private int rowEnd;
  private int maxRows;
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
    arena = Arena.ofShared();
    buffer = device.allocate("segments", DType.I32, capacity, FIELDS);
    host = arena.allocate((long) capacity * FIELDS * Integer.BYTES, 16);
  }

  private Segments(Segments table, int from, int count) {
    this.table = table;
    this.from = from;
    capacity = 0;
    arena = null;
    buffer = table.buffer.slice((long) from * FIELDS, count, FIELDS);
    host = table.host;
    for (int i = from; i < from + count; i++) {
      include(field(i, 0), field(i, 1), field(i, 2), field(i, 3), field(i, 5));
    }
  }

  /**
   * Segments {@code first} to {@code first + viewed} as a pass of their own: visibility bits count from {@code first}. Rows keep their numbers. A
   * view follows the table's uploads as long as its segments keep their sizes.
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

  private void include(int row, int rows, int position, int slot, int contextEnd) {
    count++;
    rowBegin = Math.min(rowBegin, row);
    rowEnd = Math.max(rowEnd, Math.addExact(row, rows));
    maxRows = Math.max(maxRows, rows);
    slotEnd = Math.max(slotEnd, Math.max(contextEnd, Math.addExact(slot, rows)));
    positionEnd = Math.max(positionEnd, Math.addExact(position, rows));
  }

  /** Forgets all segments. */
  public void clear() {
    count = 0;
    rowBegin = Integer.MAX_VALUE;
    rowEnd = 0;
    maxRows = 0;
    slotEnd = 0;
    positionEnd = 0;
    uploaded = false;
  }

  /**
   * Adds a segment.
   *
   * @param row its first row among the rows of the pass
   * @param rows number of rows
   * @param position absolute position of the first row
   * @param slot cache slot of the first row
   * @param contextBegin first visible cache slot
   * @param contextEnd one past the last slot of the contiguous visible part
   * @param visible bit t: the slots of segment t are visible too (t &lt; 64)
   */
  public void add(int row, int rows, int position, int slot, int contextBegin, int contextEnd, long visible) {
    if (count == capacity) {
      throw new IllegalArgumentException("segments: more than " + capacity);
    }
    if ((row | rows | position | slot | contextBegin) < 0 || contextEnd < contextBegin) {
      throw new IllegalArgumentException("segments: row %d, rows %d, position %d, slot %d, context %d to %d".formatted(row, rows, position,
          slot, contextBegin, contextEnd));
    }
    long at = (long) count * FIELDS;
    host.setAtIndex(JAVA_INT, at, row);
    host.setAtIndex(JAVA_INT, at + 1, rows);
    host.setAtIndex(JAVA_INT, at + 2, position);
    host.setAtIndex(JAVA_INT, at + 3, slot);
    host.setAtIndex(JAVA_INT, at + 4, contextBegin);
    host.setAtIndex(JAVA_INT, at + 5, contextEnd);
    host.setAtIndex(JAVA_INT, at + 6, (int) visible);
    host.setAtIndex(JAVA_INT, at + 7, (int) (visible >>> 32));
    include(row, rows, position, slot, contextEnd);
    uploaded = false;
  }

  /** Copies the segments to the device. @throws IllegalArgumentException when a visibility bit names no segment */
  public void upload(Stream stream) {
    long known = count >= 64 ? -1L : (1L << count) - 1;
    for (int i = 0; i < count; i++) {
      long visible = host.getAtIndex(JAVA_INT, (long) i * FIELDS + 6) & 0xffffffffL
          | (long) host.getAtIndex(JAVA_INT, (long) i * FIELDS + 7) << 32;
      if ((visible & ~known) != 0) {
        throw new IllegalArgumentException("segments: segment " + i + " sees segments that are not there: mask " + Long.toHexString(visible));
      }
    }
    stream.upload(host.asSlice(0, (long) count * FIELDS * Integer.BYTES), buffer);
    uploaded = true;
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
    buffer.close();
    if (arena != null && arena.scope().isAlive()) {
      arena.close();
    }
  }
}
