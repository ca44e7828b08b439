// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;


import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The tokens of the block that is being denoised, on the device, with a host copy that a step reads back in two small copies and no
 * allocation.
 */
final class BlockState implements AutoCloseable {
  private static final int STATUS = 4; // committed, masked left, NaN, padding

  private final int capacity;
  private final DeviceBuffer ints; // [ids | masked | committed | token | status]
  private final DeviceBuffer ids;
  private final DeviceBuffer masked;
  private final DeviceBuffer committed;
  private final DeviceBuffer token;
  private final DeviceBuffer status;
  private final DeviceBuffer probability;
  private final DeviceBuffer rowMax;
  private final DeviceBuffer rowSumExp;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment hostInts;
  private final MemorySegment hostProbability;

  BlockState(Device device, int rows) {
    capacity = rows;
    ints = device.allocate("block state", DType.I32, 4L * rows + STATUS);
    ids = ints.slice(0, rows);
    masked = ints.slice(rows, rows);
    committed = ints.slice(2L * rows, rows);
    token = ints.slice(3L * rows, rows);
    status = ints.slice(4L * rows, STATUS);
    probability = device.allocate("confidence", DType.F32, rows);
    rowMax = device.allocate("logit maximum", DType.F32, rows);
    rowSumExp = device.allocate("softmax denominator", DType.F32, rows);
    hostInts = arena.allocate(ints.bytes(), 16);
    hostProbability = arena.allocate(probability.bytes(), 16);
  }

  /**
   * Starts a block. Its first {@code promptRows} rows are prompt rows, whose embedding is given and not looked up (id −1); the others
   * are masks.
   *
   * @param treatAsMask prompt rows that count as masks all the same (a quirk of the reference); null: none
   */
  void begin(Stream stream, int rows, int promptRows, boolean[] treatAsMask, int maskId) {
    hostInts.fill((byte) 0);
    for (int i = 0; i < rows; i++) {
      boolean mask = i >= promptRows || treatAsMask != null && treatAsMask[i];
      set(0, i, mask ? maskId : -1);
      set(1, i, mask ? 1 : 0);
    }
    stream.upload(hostInts, ints);
  }

  /** Reads back what the last step did. */
  void read(Stream stream) {
    stream.download(ints, hostInts);
    stream.download(probability, hostProbability);
  }

  private void set(int field, int row, int value) {
    hostInts.setAtIndex(JAVA_INT, (long) field * capacity + row, value);
  }

  private int get(int field, int row) {
    return hostInts.getAtIndex(JAVA_INT, (long) field * capacity + row);
  }

  /** Token id, the mask id, or −1 for a prompt row. */
  int idAt(int row) {
    return get(0, row);
  }

  boolean maskedAt(int row) {
    return get(1, row) != 0;
  }

  boolean committedAt(int row) {
    return get(2, row) != 0;
  }

  float probabilityAt(int row) {
    return hostProbability.getAtIndex(JAVA_FLOAT, row);
  }

  int committedCount() {
    return hostInts.getAtIndex(JAVA_INT, 4L * capacity);
  }

  int maskedCount() {
    return hostInts.getAtIndex(JAVA_INT, 4L * capacity + 1);
  }

  boolean sawNaN() {
    return hostInts.getAtIndex(JAVA_INT, 4L * capacity + 2) != 0;
  }

  DeviceBuffer ids() {
    return ids;
  }

  DeviceBuffer masked() {
    return masked;
  }

  DeviceBuffer committed() {
    return committed;
  }

  DeviceBuffer token() {
    return token;
  }

  DeviceBuffer status() {
    return status;
  }

  DeviceBuffer probability() {
    return probability;
  }

  DeviceBuffer rowMax() {
    return rowMax;
  }

  DeviceBuffer rowSumExp() {
    return rowSumExp;
  }

  @Override
  public void close() {
    ints.close();
    probability.close();
    rowMax.close();
    rowSumExp.close();
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
