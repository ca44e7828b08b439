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
 * {@link #upload}; launches use what was uploaded last.
 */
public final class Segments implements AutoCloseable {
  private static final int FIELDS = 8;

  private final int capacity;
  private final DeviceBuffer buffer;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment host;
  private int count;
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
    buffer = device.allocate("segments", DType.I32, capacity, FIELDS);
    host = arena.allocate((long) capacity * FIELDS * Integer.BYTES, 16);
  }

  /** Forgets all segments. */
  public void clear() {
    count = 0;
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
    count++;
    rowEnd = Math.max(rowEnd, Math.addExact(row, rows));
    maxRows = Math.max(maxRows, rows);
    slotEnd = Math.max(slotEnd, Math.max(contextEnd, Math.addExact(slot, rows)));
    positionEnd = Math.max(positionEnd, Math.addExact(position, rows));
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
    if (!uploaded) {
      throw new IllegalStateException("segments: not uploaded since the last change");
    }
    return buffer;
  }

  @Override
  public void close() {
    buffer.close();
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
