// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Stream;

/**
 * Where the blocks that draw for a row together leave what they found. One serves all draws of a stream, one after the other; two streams
 * need one each. Launches leave it as they found it, so they can be captured and replayed. How many blocks a row has changes no bit.
 */
public final class SampleWorkspace implements AutoCloseable {
  static final int MOST_SLICES = 32;
  private static final int MULTIPROCESSORS = 16; // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
  private static final int LEAST_BLOCKS = 64;
  private static final int BLOCKS_OF_A_GPU = 132;
  private static final int LEAST_IDS = 2048; // of a slice
  private static final int PART = 3096; // bytes of struct Part (cuda/include/sample_row.cuh)

  private final int rows;
  private final int blocks; // that a launch should have
  private final DeviceScope owned;
  private final DeviceBuffer parts;
  private final DeviceBuffer arrived; // I32 [rows], 0 between launches

  /** @param maxRows most rows that a launch draws for, in all its tasks */
  public SampleWorkspace(Stream stream, int maxRows) {
    if (maxRows < 0) {
      throw new IllegalArgumentException("sample workspace: rows is " + maxRows);
    }
    rows = maxRows;
    blocks = blocks(stream.device());
    try (DeviceScope scope = new DeviceScope(stream.device())) {
      parts = scope.allocate("parts of rows that are drawn", DType.U8, Math.max(blocks, maxRows), PART);
      arrived = scope.allocate("arrivals at rows that are drawn", DType.I32, Math.max(1, maxRows));
      stream.fill(arrived, 0);
      owned = scope.keep();
    }
  }

  /** Bytes that a workspace takes, but for its counters. @param device null: a GPU. @param maxRows as the constructor's */
  public static long bytes(Device device, int maxRows) {
    return (long) Math.max(blocks(device), maxRows) * PART;
  }

  /** One for each multiprocessor. */
  private static int blocks(Device device) {
    return device == null ? BLOCKS_OF_A_GPU : Math.max(LEAST_BLOCKS, device.attribute(MULTIPROCESSORS));
  }

  /** Blocks for each of so many rows. */
  int slices(long rows, int vocab) {
    return slices(blocks, rows, vocab);
  }

  static int slices(int blocks, long rows, int vocab) {
    return (int) Math.clamp(blocks / Math.max(1, rows), 1, Math.min(MOST_SLICES, Op.blocks(vocab, LEAST_IDS)));
  }

  /** Most rows of a launch. */
  int rows() {
    return rows;
  }

  DeviceBuffer parts() {
    return parts;
  }

  DeviceBuffer arrived() {
    return arrived;
  }

  @Override
  public void close() {
    owned.close();
  }
}
