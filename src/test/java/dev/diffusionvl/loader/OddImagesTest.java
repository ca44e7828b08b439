// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.Transparency;
import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.ColorModel;
import java.awt.image.ComponentColorModel;
import java.awt.image.DataBuffer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;

/**
 * Unusual but well-formed images show the picture that they hold or are refused, never another one. A tenth of
 * {@code -Ddvl.fuzz.inputs} of each kind; an input that failed is made again from the seed in the message.
 */
class OddImagesTest {
  private static final Path VECTORS = Path.of("src/test/resources/pillow/images");
  private static final int INPUTS = Integer.getInteger("dvl.fuzz.inputs", 10_000) / 10;
  private static final long SEED = Long.getLong("dvl.fuzz.seed", 1);

  @Test
  void tiffCombinationsAreReadRightOrRefused() {
    int read = 0;
    int refused = 0;
    for (long seed = SEED; seed < SEED + INPUTS; seed++) {
      TiffMaker tiff = new TiffMaker(seed);
      byte[] rgb;
      try {
        rgb = ImageFiles.decode(tiff.file(), "upload").rgb();
      } catch (BadInputException e) {
        assertTrue(e.getMessage().startsWith("upload: ") && e.getMessage().lines().count() == 1, e.getMessage());
        refused++;
        continue;
      }
      assertTrue(tiff.hasAnswer(), "seed " + seed + ": read " + tiff);
      assertArrayEquals(tiff.rgb(), rgb, "seed " + seed + ": " + tiff);
      read++;
    }
    assertTrue(INPUTS < 500 || read > INPUTS / 20 && refused > INPUTS / 20, read + " read, " + refused + " refused");
  }

  @Test
  void whatIsWrongWithATiffIsNamed() {
    for (long seed = 1; seed < 2000; seed++) {
      TiffMaker tiff = new TiffMaker(seed);
      if (tiff.hasAnswer()) {
        continue;
      }
      String message = assertThrows(BadInputException.class, () -> ImageFiles.decode(tiff.file(), "x"), tiff.toString()).getMessage();
      assertTrue(message.startsWith("x: TIFF: ") && message.endsWith(" not supported"), tiff + ": " + message);
      if (tiff.format == 3) {
        assertTrue(message.contains("floating-point"), message);
      } else if (tiff.format == 1 && tiff.fillOrder == 2) {
        assertTrue(message.contains("fill order"), message);
      } else if (tiff.format == 1 && tiff.photometric == 8 && !message.contains("predictor")) {
        assertTrue(message.contains("CIELab"), message);
      }
    }
    byte[] big = {'I', 'I', 43, 0, 8, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0};
    assertTrue(assertThrows(BadInputException.class, () -> ImageFiles.decode(big, "x")).getMessage().contains("BigTIFF"));
  }

  /** Stray bytes, lone markers, comments and unknown applications between the segments of a header: the same picture. */
  @Test
  void jpegSegmentJunkChangesNothing() throws IOException {
    List<byte[]> files = new ArrayList<>();
    for (String name : new String[] {"jpeg420.jpg", "jpeg440.jpg", "jpeg_progressive.jpg", "jpeg_cmyk.jpg", "exif6.jpg"}) {
      files.add(Files.readAllBytes(VECTORS.resolve(name)));
    }
    for (long seed = SEED; seed < SEED + INPUTS; seed++) {
      Random random = new Random(seed);
      byte[] file = files.get(random.nextInt(files.size()));
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      out.write(file, 0, 2);
      for (int at = 2; (file[at + 1] & 0xFF) != 0xDA;) {
        int end = at + 2 + (file[at + 2] << 8 & 0xFF00 | file[at + 3] & 0xFF);
        out.writeBytes(jpegJunk(random));
        out.write(file, at, end - at);
        at = end;
        if ((file[at + 1] & 0xFF) == 0xDA) {
          out.writeBytes(jpegJunk(random));
          out.write(file, at, file.length - at);
        }
      }
      assertSame(file, out.toByteArray(), "seed " + seed);
    }
  }

  private static byte[] jpegJunk(Random random) {
    byte[] junk = new byte[random.nextInt(9)];
    return switch (random.nextInt(8)) {
      case 0 -> {
        random.nextBytes(junk);
        for (int i = 0; i < junk.length; i++) {
          junk[i] &= 0x7F;
        }
        yield junk;
      }
      case 1 -> new byte[] {(byte) 0xFF, (byte) (0xD0 + random.nextInt(8))};
      case 2 -> new byte[] {(byte) 0xFF, (byte) 0xFF, (byte) 0xFF};
      case 3 -> new byte[] {(byte) 0xFF, 0};
      case 4 -> segment(0xFE, junk);
      case 5 -> segment(0xE2 + random.nextInt(12), junk);
      default -> new byte[0];
    };
  }

  private static byte[] segment(int marker, byte[] payload) {
    return ByteBuffer.allocate(4 + payload.length).putShort((short) (0xFF00 | marker)).putShort((short) (2 + payload.length)).put(payload)
        .array();
  }

  /** Chunks that say nothing on the samples, anywhere before the pixels and behind them: the same picture. */
  @Test
  void pngChunksChangeNothing() throws IOException {
    List<byte[]> files = new ArrayList<>();
    for (String name : new String[] {"rgb8.png", "grey16.png", "palette4.png", "rgba16.png", "interlaced.png", "turned.png",
        "raw_profile.png"}) {
      files.add(Files.readAllBytes(VECTORS.resolve(name)));
    }
    String[] kinds = {"tEXt", "zTXt", "iTXt", "gAMA", "cHRM", "pHYs", "tIME", "vpAg", "iCCP", "sBIT", "eXIX", "caNv"};
    for (long seed = SEED; seed < SEED + INPUTS; seed++) {
      Random random = new Random(seed);
      byte[] file = files.get(random.nextInt(files.size()));
      ByteBuffer png = ByteBuffer.wrap(file);
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      out.write(file, 0, 33);
      for (int at = 33; at < file.length;) {
        int end = at + 12 + png.getInt(at);
        boolean between = png.getInt(at + 4) != 0x49444154 || random.nextBoolean() && png.getInt(end + 4) != 0x49444154;
        if (between && random.nextInt(3) == 0) {
          byte[] junk = new byte[random.nextInt(40)];
          random.nextBytes(junk);
          out.writeBytes(chunk(kinds[random.nextInt(kinds.length)], junk));
        }
        out.write(file, at, end - at);
        at = end;
      }
      assertSame(file, out.toByteArray(), "seed " + seed);
    }
  }

  private static byte[] chunk(String kind, byte[] data) {
    ByteBuffer chunk = ByteBuffer.allocate(12 + data.length).putInt(data.length);
    for (char c : kind.toCharArray()) {
      chunk.put((byte) c);
    }
    CRC32 crc = new CRC32();
    crc.update(chunk.put(data).array(), 4, 4 + data.length);
    return chunk.putInt((int) crc.getValue()).array();
  }

  private static void assertSame(byte[] plain, byte[] odd, String what) {
    RgbImage expected = ImageFiles.decode(plain, "plain");
    RgbImage image = ImageFiles.decode(odd, what);
    assertEquals(expected.width(), image.width(), what);
    assertArrayEquals(expected.rgb(), image.rgb(), what);
  }

  @Test
  void whatStandsInPlaceOfAnImageIsSaid() {
    Map<String, String> contents = Map.of("", "is empty", "%PDF-1.7", "is a PDF document", "\0\0\0\u0018ftypheic", "HEIF, AVIF",
        "<svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG drawing", "<?xml version='1.0'?>\n<svg/>", "is an SVG drawing",
        "<?xml version='1.0'?><Error/>", "is a web page", "II*", "not an image of a known kind");
    contents.forEach((content, said) -> {
      String message = assertThrows(BadInputException.class, () -> ImageFiles.decode(content.getBytes(StandardCharsets.ISO_8859_1), "x"))
          .getMessage();
      assertTrue(message.startsWith("x: format: ") && message.contains(said), message);
    });
  }

  /** BMP files of 5 and 6 bits per sample, which become 8 as in Pillow: times 255, divided, the rest cut off. */
  @Test
  void bmpOfSixteenBits() {
    for (int green : new int[] {5, 6}) {
      int colours = 1 << 10 + green;
      ByteBuffer bmp = ByteBuffer.allocate(66 + 2 * colours).order(ByteOrder.LITTLE_ENDIAN).put((byte) 'B').put((byte) 'M')
          .putInt(66 + 2 * colours).putInt(0).putInt(66).putInt(40).putInt(256).putInt(-colours / 256).putShort((short) 1)
          .putShort((short) 16).putInt(3).putInt(2 * colours).putInt(2835).putInt(2835).putInt(0).putInt(0)
          .putInt(31 << 5 + green).putInt((1 << green) - 1 << 5).putInt(31);
      for (int colour = 0; colour < colours; colour++) {
        bmp.putShort((short) colour);
      }
      byte[] rgb = ImageFiles.decode(bmp.array(), "x").rgb();
      for (int colour = 0; colour < colours; colour++) {
        assertEquals((colour >> 5 + green) * 255 / 31, rgb[3 * colour] & 0xFF);
        assertEquals((colour >> 5 & (1 << green) - 1) * 255 / ((1 << green) - 1), rgb[3 * colour + 1] & 0xFF);
        assertEquals((colour & 31) * 255 / 31, rgb[3 * colour + 2] & 0xFF);
      }
    }
  }

  /** Images of a program whose samples are no 8-bit or 16-bit RGB, grey or ink. */
  @Test
  void unusualColourModelsAreRefused() {
    ColorSpace rgb = ColorSpace.getInstance(ColorSpace.CS_sRGB);
    ColorSpace grey = ColorSpace.getInstance(ColorSpace.CS_GRAY);
    refused(rgb, DataBuffer.TYPE_FLOAT, false, false, "floating point");
    refused(rgb, DataBuffer.TYPE_DOUBLE, false, false, "floating point");
    refused(rgb, DataBuffer.TYPE_INT, false, false, "32 bits");
    refused(rgb, DataBuffer.TYPE_SHORT, false, false, "sign");
    refused(grey, DataBuffer.TYPE_FLOAT, false, false, "floating point");
    refused(grey, DataBuffer.TYPE_BYTE, true, true, "multiplied by alpha");
    refused(ColorSpace.getInstance(ColorSpace.CS_LINEAR_RGB), DataBuffer.TYPE_BYTE, false, false, "colour space");
    refused(ColorSpace.getInstance(ColorSpace.CS_CIEXYZ), DataBuffer.TYPE_BYTE, false, false, "colour space");
    refused(ColorSpace.getInstance(ColorSpace.CS_PYCC), DataBuffer.TYPE_BYTE, false, false, "colour space");
    for (int type = BufferedImage.TYPE_INT_RGB; type <= BufferedImage.TYPE_BYTE_INDEXED; type++) {
      assertEquals(4, ImageFiles.of(new BufferedImage(4, 3, type)).width(), "type " + type);
    }
  }

  private static void refused(ColorSpace space, int type, boolean alpha, boolean multiplied, String reason) {
    ColorModel model = new ComponentColorModel(space, alpha, multiplied, alpha ? Transparency.TRANSLUCENT : Transparency.OPAQUE, type);
    BufferedImage image = new BufferedImage(model, model.createCompatibleWritableRaster(3, 2), multiplied, null);
    String message = assertThrows(BadInputException.class, () -> ImageFiles.of(image), reason).getMessage();
    assertTrue(message.startsWith("image: colours: ") && message.contains(reason), message);
  }
}
