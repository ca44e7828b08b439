// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;

/**
 * Eight bits per weight: weight [row, column] = E4M3 value · the scale of the block that it lies in.
 *
 * @param file named in errors
 * @param weight F8_E4M3 [out, in]
 * @param scales [blocks of rows, blocks of columns], finite
 * @param blockRows rows of a block
 * @param blockColumns columns of a block
 * @param scaleColumns blocks of columns
 */
record Fp8Matrix(Path file, TensorView weight, float[] scales, int blockRows, int blockColumns,
    int scaleColumns) implements QuantizedMatrix {
  static final float[] E4M3 = new float[256]; // by code; 0x7f and 0xff are NaN

  static {
    for (int code = 0; code < 256; code++) {
      int exponent = code >> 3 & 15;
      int mantissa = code & 7;
      double magnitude = (code & 0x7f) == 0x7f ? Double.NaN
          : exponent == 0 ? mantissa * 0x1p-9 : (8 + mantissa) * Math.scalb(1.0, exponent - 10);
      E4M3[code] = (float) (code < 128 ? magnitude : -magnitude);
    }
  }

  @Override
  public int out() {
    return (int) weight.shape()[0];
  }

  @Override
  public int in() {
    return (int) weight.shape()[1];
  }

  @Override
  public int bits() {
    return 8;
  }

  @Override
  public int groupColumns() {
    return Math.min(blockColumns, in());
  }

  @Override
  public boolean symmetric() {
    return true;
  }

  @Override
  public void codes(int row, byte[] target) {
    MemorySegment.copy(weight.data(), ValueLayout.JAVA_BYTE, (long) row * in(), target, 0, in());
    for (int column = 0; column < in(); column++) {
      if ((target[column] & 0x7f) == 0x7f) {
        throw nan(row, column);
      }
    }
  }

  @Override
  public int zero(int row, int group) {
    return 0;
  }

  @Override
  public float mostNumber(int row, int group) {
    return E4m3.MAX;
  }

  @Override
  public float scale(int row, int group) {
    return scales[row / blockRows * scaleColumns + group];
  }

  private BadInputException nan(int row, int column) {
    return BadInputException.of(file, weight.name(), "element [" + row + ", " + column + "] is NaN");
  }

  @Override
  public void decodeRow(int row, float[] target) {
    long from = (long) row * in();
    int scaleRow = row / blockRows * scaleColumns;
    for (int column = 0; column < target.length; column++) {
      float value = E4M3[weight.data().get(ValueLayout.JAVA_BYTE, from + column) & 0xff];
      if (Float.isNaN(value)) {
        throw nan(row, column);
      }
      target[column] = value * scales[scaleRow + column / blockColumns];
    }
  }
}
