// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.zip.Deflater;

/** Writes small TIFF files of random samples in any combination of the tags that say how samples are stored, and says what they show. */
final class TiffMaker {
  static final int WIDTH = 7;
  static final int HEIGHT = 5;

  private final Random random;
  private final boolean little;
  final int photometric;
  final int bits;
  final int samples;
  final int[] extra;
  final int format;
  final int fillOrder;
  private final int compression;
  private final int planar;
  private final int predictor;
  private final int[][] pixels;
  private final int[] palette;

  TiffMaker(long seed) {
    random = new Random(seed);
    little = random.nextBoolean();
    photometric = pick(0, 1, 1, 2, 2, 2, 3, 5, 5, 6, 8, 4);
    bits = pick(1, 2, 4, 8, 8, 8, 8, 12, 16, 16, 32);
    int colours = photometric == 0 || photometric == 1 || photometric == 3 || photometric == 4 ? 1 : photometric == 5 ? 4 : 3;
    extra = new int[pick(0, 0, 0, 1, 1, 2)];
    for (int i = 0; i < extra.length; i++) {
      extra[i] = pick(0, 1, 2, 2);
    }
    samples = colours + extra.length;
    format = pick(1, 1, 1, 1, 1, 1, 1, 2, 3, 4);
    fillOrder = pick(1, 1, 1, 1, 1, 1, 1, 2);
    compression = pick(1, 1, 8, 32946);
    planar = pick(1, 1, 2);
    predictor = compression != 1 && bits >= 8 && bits != 12 ? pick(1, 2) : 1;
    pixels = new int[WIDTH * HEIGHT][samples];
    for (int[] pixel : pixels) {
      for (int c = 0; c < samples; c++) {
        pixel[c] = random.nextInt() >>> 32 - bits;
      }
    }
    palette = random.ints(bits > 8 ? 0 : 3 << bits, 0, 65536).toArray();
  }

  private int pick(int... choices) {
    return choices[random.nextInt(choices.length)];
  }

  @Override
  public String toString() {
    return "photometric " + photometric + ", " + samples + " x " + bits + " bits, extra " + Arrays.toString(extra) + ", format " + format
        + ", fill order " + fillOrder + ", compression " + compression + ", planar " + planar + ", predictor " + predictor;
  }

  byte[] file() {
    List<byte[]> strips = new ArrayList<>();
    for (int plane = 0; plane < (planar == 2 ? samples : 1); plane++) {
      for (int y = 0; y < HEIGHT; y += 2) {
        ByteArrayOutputStream strip = new ByteArrayOutputStream();
        for (int row = y; row < Math.min(HEIGHT, y + 2); row++) {
          strip.writeBytes(planar == 2 ? row(row, plane, plane + 1) : row(row, 0, samples));
        }
        strips.add(stored(strip.toByteArray()));
      }
    }
    Map<Integer, int[]> tags = new TreeMap<>(Map.of(256, new int[] {WIDTH}, 257, new int[] {HEIGHT}, 258, repeated(bits),
        259, new int[] {compression}, 262, new int[] {photometric}, 266, new int[] {fillOrder}, 277, new int[] {samples},
        278, new int[] {2}, 284, new int[] {planar}, 339, repeated(format)));
    if (extra.length > 0) {
      tags.put(338, extra);
    }
    if (predictor != 1) {
      tags.put(317, new int[] {predictor});
    }
    if (photometric == 3 && palette.length > 0) {
      tags.put(320, palette);
    }
    return assembled(strips, tags);
  }

  private byte[] assembled(List<byte[]> strips, Map<Integer, int[]> tags) {
    ByteOrder order = little ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN;
    ByteBuffer out = ByteBuffer.allocate(64 << 10).order(order).put((byte) (little ? 'I' : 'M')).put((byte) (little ? 'I' : 'M'))
        .putShort((short) 42).putInt(0);
    int[] offsets = new int[strips.size()];
    int[] lengths = new int[strips.size()];
    for (int i = 0; i < offsets.length; i++) {
      offsets[i] = out.position();
      lengths[i] = strips.get(i).length;
      out.put(strips.get(i)).position(out.position() + (out.position() & 1));
    }
    tags.put(273, offsets);
    tags.put(279, lengths);
    ByteBuffer entries = ByteBuffer.allocate(12 * tags.size()).order(order);
    tags.forEach((tag, values) -> {
      boolean wide = tag == 273 || tag == 279;
      int size = values.length * (wide ? 4 : 2);
      entries.putShort(tag.shortValue()).putShort((short) (wide ? 4 : 3)).putInt(values.length);
      ByteBuffer to = size <= 4 ? entries : out;
      int end = size <= 4 ? entries.position() + 4 : out.position() + size;
      if (size > 4) {
        entries.putInt(out.position());
      }
      for (int value : values) {
        if (wide) {
          to.putInt(value);
        } else {
          to.putShort((short) value);
        }
      }
      to.position(end);
    });
    out.putInt(4, out.position()).putShort((short) tags.size()).put(entries.flip()).putInt(0);
    byte[] file = new byte[out.position()];
    out.get(0, file);
    return file;
  }

  private int[] repeated(int value) {
    int[] values = new int[samples];
    Arrays.fill(values, value);
    return values;
  }

  /** Samples one after another from the high bit down; whole ones of 16 and 32 bits in the file's byte order. */
  private byte[] row(int y, int first, int last) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    int waiting = 0;
    int held = 0;
    for (int x = 0; x < WIDTH; x++) {
      for (int c = first; c < last; c++) {
        int value = pixels[y * WIDTH + x][c];
        if (predictor == 2 && x > 0) {
          value -= pixels[y * WIDTH + x - 1][c];
        }
        if (bits >= 8 && bits != 12) {
          for (int b = 0; b < bits; b += 8) {
            out.write(value >> (little ? b : bits - 8 - b));
          }
          continue;
        }
        for (int b = bits - 1; b >= 0; b--) {
          held = held << 1 | value >> b & 1;
          if (++waiting == 8) {
            out.write(held);
            waiting = 0;
          }
        }
      }
    }
    if (waiting > 0) {
      out.write(held << 8 - waiting);
    }
    return out.toByteArray();
  }

  private byte[] stored(byte[] strip) {
    byte[] bytes = strip;
    if (compression != 1) {
      try (Deflater deflater = new Deflater()) {
        deflater.setInput(strip);
        deflater.finish();
        byte[] space = new byte[strip.length + 64];
        bytes = Arrays.copyOf(space, deflater.deflate(space));
      }
    }
    for (int i = 0; fillOrder == 2 && i < bytes.length; i++) {
      bytes[i] = (byte) (Integer.reverse(bytes[i]) >>> 24);
    }
    return bytes;
  }

  /** Whether the specification leaves one way to see the picture in 8 bits with its extra channels dropped. */
  boolean hasAnswer() {
    boolean premultiplied = Arrays.stream(extra).anyMatch(kind -> kind == 1);
    boolean colours = photometric <= 3 || photometric == 5;
    return format == 1 && fillOrder == 1 && !premultiplied && colours && bits <= 16 && bits != 12 && (photometric != 3 || bits <= 8);
  }

  /** What the picture shows, computed from its samples and not by a decoder. */
  byte[] rgb() {
    byte[] rgb = new byte[3 * pixels.length];
    for (int i = 0; i < pixels.length; i++) {
      for (int c = 0; c < 3; c++) {
        int[] p = pixels[i];
        rgb[3 * i + c] = (byte) switch (photometric) {
          case 0 -> 255 - eight(p[0]);
          case 1 -> eight(p[0]);
          case 2 -> eight(p[c]);
          case 3 -> palette[(c << bits) + p[0]] >> 8;
          default -> 255 - eight(p[3]) - (int) Math.round(eight(p[c]) * (255 - eight(p[3])) / 255.0);
        };
      }
    }
    return rgb;
  }

  private int eight(int sample) {
    return bits >= 8 ? sample >> bits - 8 : sample * 255 / ((1 << bits) - 1);
  }
}
