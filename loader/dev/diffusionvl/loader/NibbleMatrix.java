// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * A row-major matrix of 32-bit words, each of eight unsigned nibbles, the first in the lowest four bits.
 *
 * @param words the bytes of the tensor
 * @param columns words of a row
 */
record NibbleMatrix(MemorySegment words, long columns) {
  private static final ValueLayout.OfInt WORD = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** 0 to 15. @param place of the nibble in its word, 0 to 7 */
  int at(long row, long column, int place) {
    return words.get(WORD, 4 * (row * columns + column)) >>> (4 * place) & 15;
  }
}
