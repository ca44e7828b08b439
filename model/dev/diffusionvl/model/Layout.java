// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import java.lang.foreign.MemorySegment;

/**
 * How the elements of a tensor lie on the device, and the way back to the row-major order of a file. A row is everything at one index of
 * the first dimension; every layout keeps rows in order, so that a tensor can be read back some rows at a time.
 */
public sealed interface Layout {
  /** Elements that a row takes on the device. */
  long storedRow(long fileRow);

  /**
   * Turns rows as they are on the device into rows as a file has them.
   *
   * @param stored rows · {@link #storedRow} elements
   * @param file rows · fileRow elements, to be written
   */
  void toFile(MemorySegment stored, MemorySegment file, long rows, int elementBytes);

  /** As in the file. A part of stacked matrices is plain too: its rows are a slice of the stack's. */
  record Plain() implements Layout {
    @Override
    public long storedRow(long fileRow) {
      return fileRow;
    }

    @Override
    public void toFile(MemorySegment stored, MemorySegment file, long rows, int elementBytes) {
      file.copyFrom(stored);
    }
  }

  /** Zeros behind each row. @param columns elements of a row with them */
  record PaddedRows(long columns) implements Layout {
    @Override
    public long storedRow(long fileRow) {
      return columns;
    }

    @Override
    public void toFile(MemorySegment stored, MemorySegment file, long rows, int elementBytes) {
      long width = file.byteSize() / rows;
      for (long row = 0; row < rows; row++) {
        MemorySegment.copy(stored, row * columns * elementBytes, file, row * width, width);
      }
    }
  }

  /** [channels, places] in the file, [places, channels] on the device, in each row. */
  record ChannelsLast(int channels) implements Layout {
    @Override
    public long storedRow(long fileRow) {
      return fileRow;
    }

    @Override
    public void toFile(MemorySegment stored, MemorySegment file, long rows, int elementBytes) {
      long elements = stored.byteSize() / elementBytes;
      long inside = elements / rows;
      long places = inside / channels;
      for (long i = 0; i < elements; i++) {
        long at = i % inside;
        long to = i - at + at % channels * places + at / channels;
        MemorySegment.copy(stored, i * elementBytes, file, to * elementBytes, elementBytes);
      }
    }
  }
}
