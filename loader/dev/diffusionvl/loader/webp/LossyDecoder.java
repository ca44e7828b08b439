// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

import java.util.Arrays;

/** Decodes a VP8 key frame, with the results of libwebp bit by bit. */
final class LossyDecoder {
  private final FrameHeader header;
  private final int columns;
  private final int rows;
  private final Plane luma;
  private final Plane[] chroma;
  // by macroblock: level of the loop filter, and whether it also acts within the block
  private final byte[] levels;
  private final boolean[] inner;
  private final int[] edge = new int[13];

  private LossyDecoder(FrameHeader header) {
    this.header = header;
    columns = header.width + 15 >> 4;
    rows = header.height + 15 >> 4;
    luma = new Plane(16 * columns, 16 * rows);
    chroma = new Plane[] {new Plane(8 * columns, 8 * rows), new Plane(8 * columns, 8 * rows)};
    levels = new byte[columns * rows];
    inner = new boolean[columns * rows];
  }

  /** The frame in {@code data[begin, end)}. */
  static WebpPicture decode(byte[] data, int begin, int end, WebpFile.SizeCheck sizeCheck) {
    FrameHeader header = new FrameHeader(data, begin, end, sizeCheck);
    LossyDecoder decoder = new LossyDecoder(header);
    decoder.reconstruct();
    decoder.filter();
    byte[] rgb = YuvToRgb.convert(decoder.luma, decoder.chroma[0], decoder.chroma[1], header.width, header.height);
    return new WebpPicture(header.width, header.height, rgb);
  }

  private void reconstruct() {
    MacroblockReader reader = new MacroblockReader(header, columns);
    Macroblock block = new Macroblock();
    for (int y = 0; y < rows; y++) {
      reader.startRow();
      for (int x = 0; x < columns; x++) {
        reader.read(x, y, block);
        predictLuma(x, y, block);
        predictChroma(x, y, block);
        boolean subblocks = block.lumaMode == Macroblock.SUBBLOCKS;
        levels[y * columns + x] = (byte) header.filterLevel(block.segment, subblocks);
        inner[y * columns + x] = subblocks || block.hasCoefficients;
      }
    }
  }

  private void predictLuma(int column, int row, Macroblock block) {
    int at = luma.at(16 * column, 16 * row);
    boolean subblocks = block.lumaMode == Macroblock.SUBBLOCKS;
    int aboveRight = at - luma.stride + 16;
    if (!subblocks) {
      Prediction.block(luma, 16 * column, 16 * row, 16, block.lumaMode);
    } else if (row > 0 && column == columns - 1) {
      Arrays.fill(luma.pixels, aboveRight, aboveRight + 4, luma.pixels[aboveRight - 1]);
    }
    for (int i = 0; i < 16; i++) {
      int o = at + (i >> 2) * 4 * luma.stride + (i & 3) * 4;
      if (subblocks) {
        // what lies right of the macroblock is not decoded yet: its upper neighbour stands for it all the way down
        Prediction.subblock(luma, o, (i & 3) == 3 ? aboveRight : o - luma.stride + 4, block.subblockModes[i], edge);
      }
      Transforms.addCosine(block.coefficients, 16 * i, luma.pixels, o, luma.stride);
    }
  }

  private void predictChroma(int column, int row, Macroblock block) {
    for (int c = 0; c < 2; c++) {
      Plane plane = chroma[c];
      Prediction.block(plane, 8 * column, 8 * row, 8, block.chromaMode);
      for (int i = 0; i < 4; i++) {
        int o = plane.at(8 * column + (i & 1) * 4, 8 * row + (i >> 1) * 4);
        Transforms.addCosine(block.coefficients, 16 * (16 + 4 * c + i), plane.pixels, o, plane.stride);
      }
    }
  }

  private void filter() {
    LoopFilter y = new LoopFilter(luma);
    LoopFilter[] uv = {new LoopFilter(chroma[0]), new LoopFilter(chroma[1])};
    for (int row = 0; row < rows; row++) {
      for (int column = 0; column < columns; column++) {
        int level = levels[row * columns + column];
        if (level == 0) {
          continue;
        }
        boolean within = inner[row * columns + column];
        if (header.simpleFilter) {
          filterSimply(y, column, row, level, within);
        } else {
          filterNormally(y, uv, column, row, level, within);
        }
      }
    }
  }

  private void filterSimply(LoopFilter y, int column, int row, int level, boolean within) {
    int limit = 2 * level + header.interiorLimit(level);
    int at = luma.at(16 * column, 16 * row);
    for (int direction = 0; direction < 2; direction++) {
      boolean vertical = direction == 0;
      if ((vertical ? column : row) > 0) {
        y.simple(at, vertical, limit + 4);
      }
      for (int i = 4; within && i < 16; i += 4) {
        y.simple(at + i * (vertical ? 1 : luma.stride), vertical, limit);
      }
    }
  }

  private void filterNormally(LoopFilter y, LoopFilter[] uv, int column, int row, int level, boolean within) {
    int interior = header.interiorLimit(level);
    int limit = 2 * level + interior;
    int threshold = level >= 40 ? 2 : level >= 15 ? 1 : 0;
    int at = luma.at(16 * column, 16 * row);
    int chromaAt = chroma[0].at(8 * column, 8 * row);
    for (int direction = 0; direction < 2; direction++) {
      boolean vertical = direction == 0;
      if ((vertical ? column : row) > 0) {
        y.normal(at, vertical, 16, true, limit + 4, interior, threshold);
        for (LoopFilter plane : uv) {
          plane.normal(chromaAt, vertical, 8, true, limit + 4, interior, threshold);
        }
      }
      if (within) {
        for (int i = 4; i < 16; i += 4) {
          y.normal(at + i * (vertical ? 1 : luma.stride), vertical, 16, false, limit, interior, threshold);
        }
        for (LoopFilter plane : uv) {
          plane.normal(chromaAt + 4 * (vertical ? 1 : chroma[0].stride), vertical, 8, false, limit, interior, threshold);
        }
      }
    }
  }
}
