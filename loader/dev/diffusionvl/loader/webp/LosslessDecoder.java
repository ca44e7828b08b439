// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

/** Decodes WebP's lossless format. */
final class LosslessDecoder {
  private static final int SIGNATURE = 0x2F;
  private static final int GREENS = 256 + 24;
  private static final int DISTANCES = 40;
  private static final int MAX_CACHE_BITS = 11;

  private final BitReader in;

  private LosslessDecoder(BitReader in) {
    this.in = in;
  }

  /** The image in {@code data[begin, end)}; {@code sizeCheck} hears its size before anything is read or allocated for it. */
  static WebpPicture decode(byte[] data, int begin, int end, WebpFile.SizeCheck sizeCheck) {
    BitReader in = new BitReader(data, begin, end);
    if (in.read(8) != SIGNATURE) {
      throw new IllegalArgumentException("no lossless image");
    }
    int width = 1 + in.read(14);
    int height = 1 + in.read(14);
    in.flag(); // whether alpha is used
    if (in.read(3) != 0) {
      throw new IllegalArgumentException("unknown version of the lossless format");
    }
    sizeCheck.check(width, height);
    int[] pixels = new LosslessDecoder(in).decode(width, height);
    byte[] rgb = new byte[Math.multiplyExact(3, pixels.length)];
    for (int i = 0, o = 0; i < pixels.length; i++) {
      rgb[o++] = (byte) (pixels[i] >> 16);
      rgb[o++] = (byte) (pixels[i] >> 8);
      rgb[o++] = (byte) pixels[i];
    }
    return new WebpPicture(width, height, rgb);
  }

  private int[] decode(int width, int height) {
    LosslessTransform[] transforms = new LosslessTransform[4];
    int count = 0;
    int stored = width;
    for (int seen = 0; in.flag();) {
      int type = in.read(2);
      if ((seen & 1 << type) != 0) {
        throw new IllegalArgumentException("a transform twice");
      }
      seen |= 1 << type;
      transforms[count++] = transform(type, stored, height);
      stored = transforms[count - 1].storedWidth();
    }
    int[] pixels = image(stored, height, true);
    while (count > 0) {
      pixels = transforms[--count].invert(pixels, height);
    }
    return pixels;
  }

  private LosslessTransform transform(int type, int width, int height) {
    return switch (type) {
      case 0, 1 -> {
        int bits = 2 + in.read(3);
        int[] data = image(blocks(width, bits), blocks(height, bits), false);
        yield type == 0 ? new LosslessTransform.Predictor(width, bits, data) : new LosslessTransform.Colour(width, bits, data);
      }
      case 2 -> new LosslessTransform.SubtractGreen(width);
      default -> {
        int colours = 1 + in.read(8);
        yield new LosslessTransform.Palette(width, image(colours, 1, false));
      }
    };
  }

  private static int blocks(int size, int bits) {
    return size + (1 << bits) - 1 >> bits;
  }

  /** Five codes: green with lengths and cache indexes, red, blue, alpha, distances. */
  private PrefixCode[] codes(int cacheSize) {
    return new PrefixCode[] {
      PrefixCode.read(in, GREENS + cacheSize), PrefixCode.read(in, 256), PrefixCode.read(in, 256), PrefixCode.read(in, 256),
      PrefixCode.read(in, DISTANCES)
    };
  }

  /** @param main not an image that serves a transform or tells the codes of another one */
  private int[] image(int width, int height, boolean main) {
    int cacheBits = in.flag() ? in.read(4) : 0;
    if (cacheBits > MAX_CACHE_BITS) {
      throw new IllegalArgumentException("a colour cache of " + cacheBits + " bits");
    }
    int[] cache = cacheBits > 0 ? new int[1 << cacheBits] : new int[0];
    int groupBits = 0;
    int[] groupOf = null;
    int groups = 1;
    if (main && in.flag()) {
      groupBits = 2 + in.read(3);
      groupOf = image(blocks(width, groupBits), blocks(height, groupBits), false);
      for (int i = 0; i < groupOf.length; i++) {
        groupOf[i] = groupOf[i] >> 8 & 0xFFFF;
        groups = Math.max(groups, groupOf[i] + 1);
      }
    }
    PrefixCode[][] codes = new PrefixCode[groups][];
    for (int i = 0; i < groups; i++) {
      codes[i] = codes(cache.length);
    }
    int[] pixels = new int[Math.multiplyExact(width, height)];
    int cached = 0; // pixels before this one are in the cache
    int across = blocks(width, groupBits);
    for (int at = 0; at < pixels.length;) {
      PrefixCode[] code = codes[groupOf == null ? 0 : groupOf[(at / width >> groupBits) * across + (at % width >> groupBits)]];
      int green = code[0].read(in);
      if (green < 256) {
        int red = code[1].read(in);
        int blue = code[2].read(in);
        pixels[at++] = code[3].read(in) << 24 | red << 16 | green << 8 | blue;
      } else if (green < GREENS) {
        at = copy(pixels, at, width, prefixed(green - 256), prefixed(code[4].read(in)));
      } else {
        cached = remember(cache, cacheBits, pixels, cached, at);
        pixels[at++] = cache[green - GREENS];
      }
      if (at % width == 0 && cacheBits > 0) {
        cached = remember(cache, cacheBits, pixels, cached, at);
      }
    }
    return pixels;
  }

  private static int remember(int[] cache, int bits, int[] pixels, int from, int to) {
    for (int i = from; i < to; i++) {
      cache[0x1E35A7BD * pixels[i] >>> 32 - bits] = pixels[i];
    }
    return to;
  }

  /** A length or distance from its prefix and the extra bits that follow. */
  private int prefixed(int prefix) {
    if (prefix < 4) {
      return prefix + 1;
    }
    int extra = prefix - 2 >> 1;
    return (2 + (prefix & 1) << extra) + in.read(extra) + 1;
  }

  private static int copy(int[] pixels, int at, int width, int length, int code) {
    int distance = code - 120;
    if (code <= 120) {
      int neighbour = Tables.NEIGHBOURS[code - 1];
      distance = Math.max(1, (neighbour >> 4) * width + 8 - (neighbour & 15));
    }
    if (distance > at || length > pixels.length - at) {
      throw new IllegalArgumentException("a copy from before or to behind the image");
    }
    for (int i = 0; i < length; i++) {
      pixels[at + i] = pixels[at + i - distance];
    }
    return at + length;
  }
}
