// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** Files made to exhaust the decoder; the pixels are compared in ImageFilesTest. */
class WebpFileTest {
  /** Bits, the lowest of a byte first. */
  private static final class BitWriter {
    private final byte[] bytes;
    private int at;

    BitWriter(int capacity) {
      bytes = new byte[capacity];
    }

    BitWriter put(int value, int bits) {
      for (int i = 0; i < bits; i++, at++) {
        bytes[at >> 3] |= (byte) ((value >> i & 1) << (at & 7));
      }
      return this;
    }

    /** The code of one symbol. */
    BitWriter symbol(int symbol) {
      return symbol < 2 ? put(1, 3).put(symbol, 1) : put(5, 3).put(symbol, 8);
    }

    byte[] file() {
      byte[] data = Arrays.copyOf(bytes, at + 7 >> 3);
      return chunk("RIFF", ByteBuffer.allocate(12 + data.length).put("WEBP".getBytes(StandardCharsets.US_ASCII))
          .put(chunk("VP8L", data)).array());
    }
  }

  private static byte[] chunk(String type, byte[] data) {
    return ByteBuffer.allocate(8 + data.length).order(ByteOrder.LITTLE_ENDIAN).put(type.getBytes(StandardCharsets.US_ASCII))
        .putInt(data.length).put(data).array();
  }

  private static BitWriter lossless(int width, int height, int capacity) {
    return new BitWriter(capacity).put(0x2F, 8).put(width - 1, 14).put(height - 1, 14).put(0, 4);
  }

  /** An image of one colour takes no bits for its pixels. */
  @Test
  void noBitsForAPixel() {
    BitWriter file = lossless(500, 300, 64).put(0, 1).put(0, 1).put(0, 1).symbol(20).symbol(10).symbol(30).symbol(255).symbol(0);
    WebpFile webp = WebpFile.decode(file.file(), (width, height) -> { });
    assertEquals(500, webp.width());
    assertEquals(3 * 500 * 300, webp.rgb().length);
    for (int i = 0; i < webp.rgb().length; i += 3) {
      assertEquals(0x0A141E, webp.rgb()[i] << 16 | webp.rgb()[i + 1] << 8 | webp.rgb()[i + 2]);
    }
  }

  /** 65,536 groups of codes that take 20 bits each in the file must not take kilobytes each in memory. */
  @Test
  void asManyCodesAsThereCanBe() {
    BitWriter writer = lossless(4, 4, 200_000).put(0, 1).put(0, 1);
    // one block, whose group is the last one
    writer.put(1, 1).put(0, 3).put(0, 1).symbol(255).symbol(255).symbol(0).symbol(0).symbol(0);
    for (int i = 0; i < 5 * 65_536; i++) {
      writer.symbol(0);
    }
    byte[] file = writer.file();
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long before = threads.getCurrentThreadAllocatedBytes();
    assertEquals(4, WebpFile.decode(file, (width, height) -> { }).width());
    long allocated = threads.getCurrentThreadAllocatedBytes() - before;
    assertTrue(allocated < 200L * file.length, allocated + " bytes for a file of " + file.length);
  }

  /** Frames within frames are no recursion. */
  @Test
  void framesWithinFrames() {
    int depth = 100_000;
    ByteBuffer nested = ByteBuffer.allocate(24 * depth).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = depth; i > 0; i--) {
      nested.put("ANMF".getBytes(StandardCharsets.US_ASCII)).putInt(24 * i - 8).put(new byte[16]);
    }
    byte[] file = chunk("RIFF", ByteBuffer.allocate(4 + 24 * depth).put("WEBP".getBytes(StandardCharsets.US_ASCII))
        .put(nested.array()).array());
    assertThrows(IllegalArgumentException.class, () -> WebpFile.decode(file, (width, height) -> { }));
  }

  @Test
  void theSizeIsHeardBeforeAnythingIsReserved() {
    byte[] file = lossless(16_384, 16_384, 64).put(0, 20).file();
    IllegalStateException own = new IllegalStateException("too large");
    assertEquals(own, assertThrows(IllegalStateException.class, () -> WebpFile.decode(file, (width, height) -> {
      assertEquals(16_384, width);
      assertEquals(16_384, height);
      throw own;
    })));
  }
}
