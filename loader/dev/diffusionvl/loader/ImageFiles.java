// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import dev.diffusionvl.loader.webp.WebpFile;
import java.awt.image.BufferedImage;
import java.awt.image.IndexColorModel;
import java.awt.image.Raster;
import java.awt.image.WritableRaster;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Iterator;
import java.util.Locale;
import java.util.Set;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.event.IIOReadWarningListener;
import javax.imageio.stream.ImageInputStream;
import javax.imageio.stream.MemoryCacheImageInputStream;

/**
 * Reads PNG, JPEG, WebP, GIF (first frame), BMP and TIFF (first page) as 8-bit RGB, with the samples that Pillow's
 * convert("RGB") gives: transparency is dropped, not composited; grey values are copied without gamma; colour profiles
 * are ignored. Of 16-bit samples the high byte counts (Pillow does the same but for grey, which it would clip to
 * white). Orientation is applied, by EXIF or XMP. TIFF files are read if their combination of colours, samples and compression was
 * compared with Pillow's result, and refused by name otherwise. All methods may be called by several threads at the same time.
 *
 * <p>Memory: at most 24 bytes per pixel and a small multiple of the file's size. What a header claims is believed up to
 * 178,956,970 pixels, and in PNG, JPEG and GIF files up to what so many bytes can be the compressed form of.
 */
public final class ImageFiles {
  /** Pillow's own limit against decompression bombs. Bounds a decoded image to 537 MB. */
  static final long MAX_PIXELS = 178_956_970;

  private static final int MAX_FILE_BYTES = 256 << 20;
  /** Readers whose signature is certain; the JDK also has one (WBMP) that takes nearly any file for its own. */
  private static final Set<String> FORMATS = Set.of("png", "jpeg", "gif", "bmp", "tif", "tiff");

  private final byte[] file;
  private final String name;
  private final long maxPixels;

  private ImageFiles(byte[] file, String name, long maxPixels) {
    this.file = file;
    this.name = name;
    this.maxPixels = Math.min(Math.min(maxPixels, MAX_PIXELS), PixelBound.of(file));
  }

  /**
   * @throws BadInputException if the file is missing, no such image, cut short, broken, larger than 256 MB or than
   *     178,956,970 pixels
   */
  public static RgbImage read(Path file) {
    return decode(InputFiles.read(file, MAX_FILE_BYTES), file.toString());
  }

  /**
   * An image of a data set.
   *
   * @param name relative to the folder
   * @throws BadInputException as {@link #read(Path)}, or if the name leads out of the folder
   */
  public static RgbImage read(Path folder, String name) {
    return read(within(folder, name));
  }

  /** Names come from a data set that a stranger may have made: they must stay within the folder. */
  private static Path within(Path folder, String name) {
    Path relative;
    try {
      relative = Path.of(name).normalize();
    } catch (InvalidPathException e) {
      throw new BadInputException("image: '" + name + "' is not a file name", e);
    }
    if (relative.isAbsolute()) {
      throw new BadInputException("image: '" + name + "' is absolute; names are relative to the folder of the images");
    }
    if (relative.startsWith("..")) {
      throw new BadInputException("image: '" + name + "' leads out of the folder of the images");
    }
    if (relative.toString().isEmpty()) {
      throw new BadInputException("image: '" + name + "' names no file");
    }
    return folder.resolve(relative);
  }

  /**
   * The image in a file's bytes.
   *
   * @param name how messages call it
   * @throws BadInputException as {@link #read(Path)}
   */
  public static RgbImage decode(byte[] file, String name) {
    return decode(file, name, MAX_PIXELS);
  }

  /**
   * The image in a file's bytes, which must not be large: for what strangers send.
   *
   * @param name how messages call it
   * @param maxPixels most pixels that are decoded; the general limit holds as well
   * @throws BadInputException as {@link #read}
   */
  public static RgbImage decode(byte[] file, String name, long maxPixels) {
    try {
      return new ImageFiles(file, name, maxPixels).decode().named(name);
    } catch (BadInputException e) {
      throw e;
    } catch (IOException | RuntimeException e) {
      // the JDK's readers answer some broken files with index or argument errors
      throw broken(name, e);
    } catch (OutOfMemoryError e) {
      throw new BadInputException(name + ": image data: does not fit in the memory of this program", e);
    }
  }

  /**
   * A picture that a program already has, by the same rules.
   *
   * @throws BadInputException if its colours are of an unusual kind: floating point, signed, neither RGB, grey, CMYK nor a palette
   */
  public static RgbImage of(BufferedImage image) {
    RasterColours.requireUsual(image);
    return RasterPixels.toRgb(image);
  }

  private RgbImage decode() throws IOException {
    if (JpegHeader.isJpeg(file)) {
      return jpeg();
    }
    if (WebpFile.isWebp(file)) {
      return webp();
    }
    if (GifScreen.isGif(file)) {
      return gif();
    }
    if (TiffTags.isBigTiff(file)) {
      throw new BadInputException(name + ": format: BigTIFF is not supported; save it as a TIFF");
    }
    if (PngChunks.isPng(file)) {
      return png();
    }
    TiffTags tags = TiffTags.of(file);
    return tags.present() ? tiff(tags) : RasterPixels.toRgb(decode(file, r -> r.read(0)));
  }

  private RgbImage jpeg() throws IOException {
    JpegHeader header = new JpegHeader(file);
    byte[] plain = header.plainFile();
    boolean fourColours = header.colour() == JpegHeader.Colour.CMYK || header.colour() == JpegHeader.Colour.YCCK;
    RgbImage rgb = fourColours ? CmykPixels.ofJpeg(stored(plain, header), header.colour())
        : header.colour() == JpegHeader.Colour.YCBCR && header.halfRows() ? YccPixels.toRgb(stored(plain, header))
        : RasterPixels.toRgb(decode(plain, r -> r.read(0)));
    return Orientation.upright(rgb, header.orientation());
  }

  /** The components before any conversion of colours, those of fewer rows or columns at full size. */
  private Raster stored(byte[] plain, JpegHeader header) throws IOException {
    WritableRaster raster = (WritableRaster) decode(plain, r -> r.readRaster(0, null));
    for (int band = 0; band < raster.getNumBands(); band++) {
      if (header.halfRows(band)) {
        HalfRows.interpolate(raster, band);
      }
    }
    return raster;
  }

  private RgbImage webp() {
    WebpFile webp = WebpFile.decode(file, this::checkSize);
    RgbImage rgb = new RgbImage(webp.width(), webp.height(), webp.rgb());
    return Orientation.upright(rgb, Orientation.of(webp.exif(), webp.xmp()));
  }

  private RgbImage gif() throws IOException {
    GifScreen screen = GifScreen.of(file);
    checkSize(screen.width(), screen.height());
    BufferedImage image = decode(file, r -> r.read(0));
    IndexColorModel palette = (IndexColorModel) image.getColorModel();
    int background = screen.background() < palette.getMapSize() ? palette.getRGB(screen.background()) : 0;
    return screen.place(RasterPixels.toRgb(image), background);
  }

  private RgbImage tiff(TiffTags tags) throws IOException {
    tags.requireCredible();
    int photometric = TiffLayout.requireSupported(tags, name);
    BufferedImage image = decode(tags.withoutProfile(), r -> r.read(0));
    RgbImage rgb = photometric == TiffLayout.CMYK ? CmykPixels.toRgb(image.getRaster(), 8)
        : RasterPixels.toRgb(withTiffPalette(image, tags));
    return Orientation.upright(rgb, Orientation.ofTiff(tags));
  }

  private RgbImage png() throws IOException {
    PngChunks chunks = new PngChunks(file);
    return Orientation.upright(RasterPixels.toRgb(decode(chunks.plainFile(), r -> r.read(0))), chunks.orientation());
  }

  /** The JDK rounds a TIFF palette's 16 bits, the reference cuts them. */
  private static BufferedImage withTiffPalette(BufferedImage image, TiffTags tags) {
    short[] map = tags.shorts(TiffTags.COLOUR_MAP);
    if (!(image.getColorModel() instanceof IndexColorModel palette) || map.length != 3 << palette.getPixelSize()) {
      return image;
    }
    int size = map.length / 3;
    byte[] bytes = new byte[map.length];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) (map[i] >> 8);
    }
    IndexColorModel cut = new IndexColorModel(palette.getPixelSize(), size, Arrays.copyOf(bytes, size),
        Arrays.copyOfRange(bytes, size, 2 * size), Arrays.copyOfRange(bytes, 2 * size, 3 * size));
    return new BufferedImage(cut, image.getRaster(), false, null);
  }

  private interface Decoding<T> {
    T with(ImageReader reader) throws IOException;
  }

  private <T> T decode(byte[] content, Decoding<T> decoding) throws IOException {
    // in memory, since the default would make a cache file
    try (ImageInputStream input = new MemoryCacheImageInputStream(new ByteArrayInputStream(content))) {
      ImageReader reader = readerFor(input);
      try {
        // metadata is ignored: it cannot change the samples, and a broken profile must not make an image unreadable
        reader.setInput(input, true, true);
        Warnings warnings = new Warnings();
        reader.addIIOReadWarningListener(warnings);
        checkSize(reader.getWidth(0), reader.getHeight(0));
        T result = decoding.with(reader);
        if (warnings.truncated) {
          throw new BadInputException(name + ": image data: ends too early");
        }
        return result;
      } finally {
        reader.dispose();
      }
    }
  }

  private ImageReader readerFor(ImageInputStream input) {
    for (Iterator<ImageReader> readers = ImageIO.getImageReaders(input); readers.hasNext();) {
      ImageReader reader = readers.next();
      if (FORMATS.contains(formatName(reader))) {
        return reader;
      }
    }
    String foreign = file.length == 0 ? "empty" : ForeignContent.of(file);
    throw new BadInputException(name + ": format: " + (foreign != null ? "is " + foreign
        : "not an image of a known kind (PNG, JPEG, WebP, GIF, BMP, TIFF)"));
  }

  private static String formatName(ImageReader reader) {
    return reader.getOriginatingProvider().getFormatNames()[0].toLowerCase(Locale.ROOT);
  }

  private void checkSize(int width, int height) {
    long pixels = (long) width * height;
    if (width < 1 || height < 1 || pixels > maxPixels) {
      String limit = maxPixels == PixelBound.of(file) ? "a file of " + file.length + " bytes holds at most " + maxPixels
          : "at most " + maxPixels + " are read";
      throw new BadInputException(name + ": size: " + width + " x " + height + " pixels, " + limit);
    }
  }

  private static BadInputException broken(String name, Exception e) {
    StringBuilder reason = new StringBuilder(InputFiles.reason(e));
    for (Throwable cause = e.getCause(); cause != null; cause = cause.getCause()) {
      reason.append(cause.getMessage() != null ? " (" + cause.getMessage() + ")" : "");
    }
    return new BadInputException(name + ": image data: cannot be read: " + reason, e);
  }

  /** The JPEG reader fills what is missing with grey and only warns. */
  private static final class Warnings implements IIOReadWarningListener {
    private boolean truncated;

    @Override
    public void warningOccurred(ImageReader source, String warning) {
      truncated |= warning.contains("Truncated") || warning.contains("Premature end");
    }
  }
}
