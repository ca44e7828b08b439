// SPDX-License-Identifier: Apache-2.0
package org.xerial.snappy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Unpacks snappy. Hardwood, which reads parquet files, looks for a class of this name: that of snappy-java, whose native code writes as
 * many bytes as the packed ones say, whatever room there is. This one refuses damaged bytes.
 */
public final class Snappy {
  private static final int LITERAL = 0;
  private static final int NEAR = 1; // a copy whose distance has 11 bits
  private static final int FAR = 2; // 16 bits
  private static final int LONG_LITERAL = 60; // and more: so many bytes less 59 have the length

  private final ByteBuffer in;
  private final ByteBuffer out;
  private final int begin;

  private Snappy(ByteBuffer in, ByteBuffer out) {
    this.in = in;
    this.out = out;
    begin = out.position();
  }

  /**
   * Unpacks from position to limit of {@code packed}. Positions of both buffers stay.
   *
   * @return number of bytes
   * @throws IOException if the bytes are damaged or there is too little room
   */
  public static int uncompress(ByteBuffer packed, ByteBuffer to) throws IOException {
    return new Snappy(packed.slice().order(ByteOrder.LITTLE_ENDIAN), to.duplicate()).unpack();
  }

  private int unpack() throws IOException {
    long length = 0;
    int shift = 0;
    byte part;
    do {
      part = (byte) number(1);
      length |= (long) (part & 0x7f) << shift;
      shift += 7;
    } while (part < 0 && shift < 35);
    require(length <= out.remaining());
    while (in.hasRemaining()) {
      int tag = (int) number(1);
      int high = tag >> 2;
      switch (tag & 3) {
        case LITERAL -> literal(high < LONG_LITERAL ? high + 1L : number(high - LONG_LITERAL + 1) + 1);
        case NEAR -> copy((high & 7) + 4, (long) (tag >> 5) << 8 | number(1));
        case FAR -> copy(high + 1, number(2));
        default -> copy(high + 1, number(4));
      }
    }
    require(out.position() - begin == length);
    return (int) length;
  }

  /** An unsigned number of 1 to 4 bytes, the lowest first. */
  private long number(int bytes) throws IOException {
    require(in.remaining() >= bytes);
    long number = 0;
    for (int i = 0; i < bytes; i++) {
      number |= (in.get() & 0xffL) << 8 * i;
    }
    return number;
  }

  private void literal(long length) throws IOException {
    require(length <= in.remaining() && length <= out.remaining());
    out.put(in.slice(in.position(), (int) length));
    in.position(in.position() + (int) length);
  }

  /** Bytes that were unpacked before; they may reach into the copy itself. */
  private void copy(int length, long distance) throws IOException {
    require(distance > 0 && distance <= out.position() - begin && length <= out.remaining());
    for (int i = 0; i < length; i++) {
      out.put(out.get(out.position() - (int) distance));
    }
  }

  private static void require(boolean sound) throws IOException {
    if (!sound) {
      throw new IOException("snappy: damaged bytes");
    }
  }
}
