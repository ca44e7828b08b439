// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.diffusionvl.cli.PngFile;
import java.awt.image.BufferedImage;
import java.awt.image.IndexColorModel;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class ImageFilesTest {
  private static final Path VECTORS = Path.of("src/test/resources/pillow/images");

  @TempDir
  private Path folder;

  static List<Path> imagesWithAnswers() throws IOException {
    try (Stream<Path> files = Files.list(VECTORS)) {
      return files.filter(file -> !file.toString().endsWith(".ppm")).sorted().toList();
    }
  }

  @ParameterizedTest
  @MethodSource("imagesWithAnswers")
  void pixelsEqualPillow(Path file) throws IOException {
    RgbImage image = ImageFiles.read(file);
    RgbImage expected = Ppm.read(Path.of(file + ".ppm"));
    assertEquals(expected.width(), image.width());
    assertEquals(expected.height(), image.height());
    assertArrayEquals(expected.rgb(), image.rgb());
  }

  /** Each file cut at many lengths, the last byte included where the format needs it. */
  @ParameterizedTest
  @ValueSource(strings = {"rgb8.png", "palette4.png", "jpeg420.jpg", "jpeg_progressive.jpg", "bmp24.bmp", "gif.gif",
      "webp_lossy50.webp", "webp_lossless.webp", "webp_film.webp", "tiff_raw.tif", "tiff_tiff_lzw.tif"})
  void truncatedFilesAreRefused(String name) throws IOException {
    byte[] whole = Files.readAllBytes(VECTORS.resolve(name));
    Path cut = folder.resolve("cut-" + name);
    for (int length = 0; length < whole.length * 9 / 10; length += 1 + whole.length / 60) {
      Files.write(cut, Arrays.copyOf(whole, length));
      refused(cut, name + " of " + length + " bytes");
    }
  }

  @Test
  void filesThatAreNoImagesAreRefused() throws IOException {
    assertTrue(refused(folder.resolve("missing.png"), "missing").contains("no such file"));
    assertTrue(refused(folder, "folder").contains("a directory"));
    Path text = Files.writeString(folder.resolve("text.png"), "This is no picture.\n");
    assertTrue(refused(text, "text").contains("format"));
    // the JDK's WBMP reader would take this
    refused(Files.write(folder.resolve("zeros.png"), new byte[100]), "zeros");
    refused(Files.write(folder.resolve("none.png"), PngFile.header(0, 5)), "no width");
  }

  /** Headers that claim too much, of a few bytes each: refused before anything is reserved for the pixels. */
  @ParameterizedTest(name = "{0}")
  @MethodSource("bombs")
  void bombsAreRefusedFromTheHeader(String file, byte[] bytes, String size) throws IOException {
    Path bomb = Files.write(folder.resolve(file), bytes);
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long before = threads.getCurrentThreadAllocatedBytes();
    String message = refused(bomb, file);
    long allocated = threads.getCurrentThreadAllocatedBytes() - before;
    assertTrue(message.contains(size), message);
    assertTrue(allocated < 8 << 20, allocated + " bytes");
  }

  static List<Arguments> bombs() throws IOException {
    return List.of(
        Arguments.of("bomb.png", PngFile.header(60_000, 60_000), "60000 x 60000 pixels"),
        Arguments.of("small_bomb.png", PngFile.header(3_000, 3_000), "3000 x 3000 pixels"),
        Arguments.of("bomb.jpg", changed("jpeg420.jpg", 0xFFC0, 5, 60_000), "60000 x 60000 pixels"),
        Arguments.of("progressive_bomb.jpg", changed("jpeg_progressive.jpg", 0xFFC2, 5, 60_000), "60000 x 60000 pixels"),
        Arguments.of("bomb.gif", little("gif.gif", 6, (short) 60_000, 8, (short) 60_000), "60000 x 60000 pixels"),
        Arguments.of("bomb.bmp", little("bmp24.bmp", 18, 60_000, 22, 60_000), "Invalid width/height"),
        Arguments.of("bomb.tif", tiff(60_000), "60000 x 60000 pixels"),
        // found by damaging files: memory was reserved for what tags claim, and for each value of a sample
        Arguments.of("many_values.tif", tiffEntry("tiff_raw.tif", 284, 4, 524_296), "tag 284"),
        Arguments.of("long_strip.tif", tiffEntry("tiff_tiff_lzw.tif", 279, 8, 1 << 30), "tag 279"),
        Arguments.of("bits.tif", tiffEntry("tiff_grey.tif", 258, 8, 24), "samples of 24 bits"),
        Arguments.of("lossy_bomb.webp", little("webp_lossy50.webp", 26, (short) 0x3FFF, 28, (short) 0x3FFF), "16383 x 16383 pixels"),
        Arguments.of("lossless_bomb.webp", little("webp_lossless.webp", 21, (short) -1, 23, (short) 0x0FFF), "16384 x 16384 pixels"),
        Arguments.of("canvas_bomb.webp", little("webp_film.webp", 24, (short) -1, 27, (short) -1), "65536 x 65536 pixels"));
  }

  /** A JPEG with other sizes in the frame header that begins with a marker. */
  private static byte[] changed(String name, int marker, int offset, int side) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(VECTORS.resolve(name)));
    int at = 0;
    while ((bytes.getShort(at) & 0xFFFF) != marker) {
      at++;
    }
    return bytes.putShort(at + offset, (short) side).putShort(at + offset + 2, (short) side).array();
  }

  private static byte[] little(String name, int at, Number a, int then, Number b) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(VECTORS.resolve(name))).order(ByteOrder.LITTLE_ENDIAN);
    return (a instanceof Short ? bytes.putShort(at, a.shortValue()).putShort(then, b.shortValue())
        : bytes.putInt(at, a.intValue()).putInt(then, b.intValue())).array();
  }

  /** A TIFF with other sizes in its directory. */
  private static byte[] tiff(int side) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(VECTORS.resolve("tiff_raw.tif"))).order(ByteOrder.LITTLE_ENDIAN);
    int directory = bytes.getInt(4);
    for (int i = 0; i < bytes.getShort(directory); i++) {
      int entry = directory + 2 + 12 * i;
      if (bytes.getShort(entry) == 256 || bytes.getShort(entry) == 257) {
        bytes.putShort(entry + 2, (short) 4).putInt(entry + 8, side);
      }
    }
    return bytes.array();
  }

  /** A TIFF with another number in an entry of its directory. */
  private static byte[] tiffEntry(String name, int tag, int offset, int value) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(VECTORS.resolve(name))).order(ByteOrder.LITTLE_ENDIAN);
    int entry = bytes.getInt(4) + 2;
    while ((bytes.getShort(entry) & 0xFFFF) != tag) {
      entry += 12;
    }
    return bytes.putInt(entry + offset, value).array();
  }

  /** Every type of BufferedImage: the colours that were drawn, alpha dropped, grey as it is stored. */
  @Test
  void imagesThatAProgramHas() {
    int[] colours = {0xFF102030, 0xFF804020, 0xFFFFFFFF, 0xFF000000, 0x80FF00FF, 0xFF00FF00};
    for (int type : new int[] {BufferedImage.TYPE_INT_RGB, BufferedImage.TYPE_INT_BGR, BufferedImage.TYPE_3BYTE_BGR,
        BufferedImage.TYPE_INT_ARGB, BufferedImage.TYPE_4BYTE_ABGR}) {
      BufferedImage image = new BufferedImage(3, 2, type);
      image.setRGB(0, 0, 3, 2, colours, 0, 3);
      byte[] rgb = ImageFiles.of(image).rgb();
      for (int i = 0; i < colours.length; i++) {
        int value = (rgb[3 * i] & 0xFF) << 16 | (rgb[3 * i + 1] & 0xFF) << 8 | rgb[3 * i + 2] & 0xFF;
        assertEquals(colours[i] & 0xFFFFFF, value, "type " + type + ", pixel " + i);
      }
    }
    BufferedImage grey = new BufferedImage(256, 1, BufferedImage.TYPE_BYTE_GRAY);
    BufferedImage deep = new BufferedImage(256, 1, BufferedImage.TYPE_USHORT_GRAY);
    for (int i = 0; i < 256; i++) {
      grey.getRaster().setSample(i, 0, 0, i);
      deep.getRaster().setSample(i, 0, 0, i << 8 | 0x7F);
    }
    byte[] line = ImageFiles.of(grey).rgb();
    for (int i = 0; i < 256; i++) {
      assertEquals(i, line[3 * i] & 0xFF);
      assertEquals(i, line[3 * i + 2] & 0xFF);
    }
    assertArrayEquals(line, ImageFiles.of(deep).rgb());
    byte[] ramp = new byte[256];
    for (int i = 0; i < 256; i++) {
      ramp[i] = (byte) (255 - i);
    }
    BufferedImage indexed = new BufferedImage(1, 1, BufferedImage.TYPE_BYTE_INDEXED, new IndexColorModel(8, 256, ramp, ramp, ramp));
    indexed.getRaster().setSample(0, 0, 0, 55);
    assertArrayEquals(new byte[] {(byte) 200, (byte) 200, (byte) 200}, ImageFiles.of(indexed).rgb());
    // part of another image: its raster begins elsewhere
    BufferedImage part = grey.getSubimage(7, 0, 3, 1);
    assertArrayEquals(new byte[] {7, 7, 7, 8, 8, 8, 9, 9, 9}, ImageFiles.of(part).rgb());
  }

  @Test
  void bytesAndFilesGiveTheSame() throws IOException {
    Path file = VECTORS.resolve("webp_turned.webp");
    RgbImage fromBytes = ImageFiles.decode(Files.readAllBytes(file), "an upload");
    assertEquals("an upload", fromBytes.name());
    assertArrayEquals(ImageFiles.read(file).rgb(), fromBytes.rgb());
  }

  private static String refused(Path file, String what) {
    BadInputException e = assertThrows(BadInputException.class, () -> ImageFiles.read(file), what);
    assertTrue(e.getMessage().startsWith(file.toString()), e.getMessage());
    assertEquals(1, e.getMessage().lines().count(), e.getMessage());
    return e.getMessage();
  }
}
