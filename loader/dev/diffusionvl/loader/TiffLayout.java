// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.Arrays;
import java.util.Map;
import java.util.Set;

/**
 * How a TIFF file's pixels are stored, by its first directory. TIFF has far more combinations of colours, sample sizes, extra channels
 * and compressions than any reader gets right. Only combinations whose pixels were compared with Pillow's are read; every other one is
 * refused by name, since a wrong guess would be another picture without a word.
 */
final class TiffLayout {
  static final int CMYK = 5;

  private static final int BITS = 258;
  private static final int COMPRESSION = 259;
  private static final int PHOTOMETRIC = 262;
  private static final int FILL_ORDER = 266;
  private static final int STRIP_OFFSETS = 273;
  private static final int SAMPLES = 277;
  private static final int PLANAR = 284;
  private static final int T4_OPTIONS = 292;
  private static final int T6_OPTIONS = 293;
  private static final int PREDICTOR = 317;
  private static final int TILE_OFFSETS = 324;
  private static final int INK_SET = 332;
  private static final int EXTRA_SAMPLES = 338;
  private static final int SAMPLE_FORMAT = 339;
  private static final int SUBSAMPLING = 530;

  private static final int WHITE_IS_ZERO = 0;
  private static final int BLACK_IS_ZERO = 1;
  private static final int RGB = 2;
  private static final int PALETTE = 3;
  private static final int YCBCR = 6;
  private static final Map<Integer, String> COLOURS = Map.of(WHITE_IS_ZERO, "grey (white is zero)", BLACK_IS_ZERO, "grey", RGB, "RGB",
      PALETTE, "palette", 4, "transparency mask", CMYK, "CMYK", YCBCR, "YCbCr", 8, "CIELab", 9, "ICCLab", 10, "ITULab");

  private static final int NONE = 1;
  private static final int CCITT_RLE = 2;
  private static final int CCITT_T4 = 3;
  private static final int CCITT_T6 = 4;
  private static final int LZW = 5;
  private static final int JPEG = 7;
  private static final int DEFLATE = 8;
  private static final int PACK_BITS = 32773;
  private static final int OLD_DEFLATE = 32946;
  private static final Set<Integer> LOSSLESS = Set.of(NONE, LZW, DEFLATE, PACK_BITS, OLD_DEFLATE);
  private static final Set<Integer> PREDICTABLE = Set.of(LZW, DEFLATE, OLD_DEFLATE);
  private static final Map<Integer, String> COMPRESSIONS = Map.of(NONE, "none", CCITT_RLE, "CCITT RLE", CCITT_T4, "CCITT group 3", CCITT_T6,
      "CCITT group 4", LZW, "LZW", 6, "old JPEG", JPEG, "JPEG", DEFLATE, "deflate", PACK_BITS, "PackBits", OLD_DEFLATE, "deflate");
  private static final Map<Integer, String> FORMATS = Map.of(2, "signed", 3, "floating-point", 4, "untyped", 5, "complex", 6, "complex");

  private static final int UNASSOCIATED_ALPHA = 2;

  private final TiffTags tags;
  private final int photometric;
  private final int compression;
  private final int samples;
  private final int bits;
  private final boolean planes;

  private TiffLayout(TiffTags tags) {
    this.tags = tags;
    photometric = one(PHOTOMETRIC, -1);
    compression = one(COMPRESSION, NONE);
    samples = one(SAMPLES, 1);
    bits = same(BITS, 1, "samples of different sizes");
    planes = samples > 1 && one(PLANAR, 1) == 2;
  }

  /**
   * The photometric interpretation of a file whose pixels are read as Pillow reads them.
   *
   * @throws BadInputException naming what is not supported
   */
  static int requireSupported(TiffTags tags, String name) {
    try {
      TiffLayout layout = new TiffLayout(tags);
      layout.checkFormat();
      layout.checkCompression();
      layout.checkChannels();
      return layout.photometric;
    } catch (Unsupported e) {
      throw new BadInputException(name + ": TIFF: " + e.getMessage());
    }
  }

  private static final class Unsupported extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Unsupported(String what) {
      super(what + " not supported", null, false, false);
    }
  }

  private void checkFormat() {
    int repeated = tags.repeated();
    require(repeated < 0, "tag " + repeated + " twice is");
    require(photometric >= 0, "a directory without photometric interpretation is");
    int format = same(SAMPLE_FORMAT, 1, "samples of different formats");
    require(format == 1, FORMATS.getOrDefault(format, "unknown (" + format + ")") + " samples are");
    int planar = one(PLANAR, 1);
    require(planar == 1 || planar == 2, "planar configuration " + planar + " is");
    boolean tiles = tags.has(TILE_OFFSETS);
    require(!(tiles && tags.has(STRIP_OFFSETS)), "tiles and strips in one image are");
    require(!(tiles && planes), "tiles of separate planes are");
    int ink = one(INK_SET, 1);
    require(photometric != CMYK || ink == 1, "ink set " + ink + " is");
  }

  private void checkCompression() {
    String what = "compression " + COMPRESSIONS.getOrDefault(compression, "" + compression);
    boolean fax = compression == CCITT_RLE || compression == CCITT_T4 || compression == CCITT_T6;
    require(fax || LOSSLESS.contains(compression) || compression == JPEG, what + " is");
    int fill = one(FILL_ORDER, 1);
    require(fill == 1 || fax && fill == 2, "reversed fill order (" + fill + ") is");
    if (fax) {
      require(bits == 1 && samples == 1 && photometric <= BLACK_IS_ZERO, what + " of anything but black and white is");
      require((tags.number(T4_OPTIONS, 0) & ~5) == 0 && tags.number(T6_OPTIONS, 0) == 0, what + " with uncompressed parts is");
    }
    if (compression == JPEG) {
      boolean grey = photometric == BLACK_IS_ZERO && samples == 1;
      boolean colour = photometric == YCBCR && samples == 3 && !planes;
      require(bits == 8 && (grey || colour), what + " of " + colours() + " of " + samples + " x " + bits + " bits is");
      require(!colour || Set.of("2 2", "2 1", "1 1").contains(one(SUBSAMPLING, 0, 2) + " " + one(SUBSAMPLING, 1, 2)),
          what + " of an unusual subsampling is");
    }
    int predictor = one(PREDICTOR, 1);
    require(predictor == 1 || predictor == 2 && PREDICTABLE.contains(compression) && bits == 8,
        "predictor " + predictor + " with " + what + " of " + bits + "-bit samples is");
  }

  /** The table of what was compared: colours, samples, bits, extra samples, separate planes. */
  private void checkChannels() {
    int[] extra = tags.numbers(EXTRA_SAMPLES);
    boolean alpha = extra.length == 1 && extra[0] == UNASSOCIATED_ALPHA;
    boolean supported = switch (photometric) {
      case WHITE_IS_ZERO -> samples == 1 && extra.length == 0 && bits(1, 2, 4, 8);
      case BLACK_IS_ZERO -> samples == 1 && extra.length == 0 && bits(1, 2, 4, 8, 16) || samples == 2 && alpha && !planes && bits == 8;
      case PALETTE -> samples == 1 && extra.length == 0 && bits(1, 2, 4, 8) && tags.has(BITS);
      case RGB -> samples == 3 && extra.length == 0 && (bits == 8 || bits == 16 && !planes)
          || samples == 4 && rgbWith(extra, alpha);
      case CMYK -> samples == 4 && extra.length == 0 && bits == 8;
      case YCBCR -> compression == JPEG && extra.length == 0;
      default -> false;
    };
    require(supported, colours() + " of " + samples + " x " + bits + " bits"
        + (extra.length == 0 ? "" : " with extra samples " + Arrays.toString(extra)) + (planes ? " in separate planes is" : " is"));
  }

  private boolean rgbWith(int[] extra, boolean alpha) {
    boolean dropped = extra.length == 0 || alpha || extra.length == 1 && extra[0] == 0;
    return planes ? alpha && bits == 8 : dropped && bits(8, 16);
  }

  private boolean bits(int... allowed) {
    return Arrays.stream(allowed).anyMatch(b -> b == bits);
  }

  private String colours() {
    return COLOURS.getOrDefault(photometric, "photometric interpretation " + photometric);
  }

  private int one(int tag, int absent) {
    return one(tag, 0, absent);
  }

  /** The value at an index of a tag, which must be of 16-bit numbers as the specification says. */
  private int one(int tag, int index, int absent) {
    if (!tags.has(tag)) {
      return absent;
    }
    short[] values = tags.shorts(tag);
    require(values.length > index, "tag " + tag + " of anything but 16-bit numbers is");
    return values[index] & 0xFFFF;
  }

  /** The value that all samples share, given once or per sample. */
  private int same(int tag, int absent, String otherwise) {
    int first = one(tag, absent);
    short[] values = tags.shorts(tag);
    require(values.length <= 1 || values.length == samples,
        "tag " + tag + " of " + values.length + " values for " + samples + " samples is");
    for (short value : values) {
      require((value & 0xFFFF) == first, otherwise + " are");
    }
    return first;
  }

  private static void require(boolean supported, String otherwise) {
    if (!supported) {
      throw new Unsupported(otherwise);
    }
  }
}
