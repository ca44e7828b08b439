// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.Locale;
import java.util.Set;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.event.IIOReadWarningListener;
import javax.imageio.stream.FileImageInputStream;
import javax.imageio.stream.ImageInputStream;

/**
 * Reads PNG, JPEG, GIF (first frame) and BMP files as 8-bit RGB, with the samples that Pillow's convert("RGB") gives.
 */
public final class ImageFiles {
  /** Pillow's own limit against decompression bombs: twice 1 GiB / 4 / 3 pixels. */
  static final long MAX_PIXELS = 178_956_970;

  /** Readers whose signature is certain; the JDK also has one (WBMP) that takes nearly any file for its own. */
  private static final Set<String> FORMATS = Set.of("png", "jpeg", "gif", "bmp");

  private ImageFiles() {}

  /**
   * Transparency is dropped, not composited; grey values are copied without gamma; of 16-bit samples the high byte
   * counts.
   *
   * @throws BadInputException if the file is missing, no such image, cut short, broken or larger than 178,956,970
   *     pixels
   */
  public static RgbImage read(Path file) {
    if (!Files.exists(file)) {
      throw new BadInputException(file + ": no such file");
    }
    if (!Files.isRegularFile(file)) {
      throw new BadInputException(file + ": not a regular file");
    }
    try (ImageInputStream input = new FileImageInputStream(file.toFile())) {
      return decode(file, input);
    } catch (IOException e) {
      throw broken(file, e);
    }
  }

  private static RgbImage decode(Path file, ImageInputStream input) throws IOException {
    ImageReader reader = readerFor(file, input);
    try {
      reader.setInput(input, true, true);
      Warnings warnings = new Warnings();
      reader.addIIOReadWarningListener(warnings);
      checkSize(file, reader.getWidth(0), reader.getHeight(0));
      BufferedImage image = reader.read(0);
      if (warnings.truncated) {
        throw new BadInputException(file + ": image data: ends too early");
      }
      return RasterPixels.toRgb(image);
    } catch (RuntimeException e) {
      // the JDK's readers answer some broken files with index or argument errors
      throw e instanceof BadInputException ? e : broken(file, e);
    } catch (OutOfMemoryError e) {
      throw new BadInputException(file + ": image data: does not fit in the memory of this program");
    } finally {
      reader.dispose();
    }
  }

  private static ImageReader readerFor(Path file, ImageInputStream input) throws IOException {
    for (Iterator<ImageReader> readers = ImageIO.getImageReaders(input); readers.hasNext();) {
      ImageReader reader = readers.next();
      if (FORMATS.contains(reader.getFormatName().toLowerCase(Locale.ROOT))) {
        return reader;
      }
    }
    throw new BadInputException(file + ": format: not an image of a known kind (PNG, JPEG, GIF, BMP)");
  }

  private static void checkSize(Path file, int width, int height) {
    if (width < 1 || height < 1 || (long) width * height > MAX_PIXELS) {
      throw BadInputException.of(file, "size", width + " x " + height + " pixels, allowed are 1 to " + MAX_PIXELS);
    }
  }

  private static BadInputException broken(Path file, Exception e) {
    String reason = e.getMessage() != null ? e.getMessage() : e.getClass().getSimpleName();
    for (Throwable cause = e.getCause(); cause != null; cause = cause.getCause()) {
      reason += cause.getMessage() != null ? " (" + cause.getMessage() + ")" : "";
    }
    return new BadInputException(file + ": image data: cannot be read: " + reason);
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
