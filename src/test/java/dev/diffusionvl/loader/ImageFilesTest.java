// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
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
  @ValueSource(strings = {"rgb8.png", "palette4.png", "jpeg420.jpg", "jpeg_progressive.jpg", "bmp24.bmp", "gif.gif"})
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
  }

  @Test
  void bombsAreRefusedFromTheHeader() throws IOException {
    Path bomb = Files.write(folder.resolve("bomb.png"), pngHeader(60_000, 60_000));
    assertTrue(refused(bomb, "bomb").contains("60000 x 60000 pixels"));
    Path none = Files.write(folder.resolve("none.png"), pngHeader(0, 5));
    refused(none, "no width");
  }

  private static byte[] pngHeader(int width, int height) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    DataOutputStream out = new DataOutputStream(bytes);
    out.write(new byte[] {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'});
    ByteArrayOutputStream header = new ByteArrayOutputStream();
    DataOutputStream fields = new DataOutputStream(header);
    fields.write("IHDR".getBytes(StandardCharsets.US_ASCII));
    fields.writeInt(width);
    fields.writeInt(height);
    fields.write(new byte[] {8, 2, 0, 0, 0});
    CRC32 crc = new CRC32();
    crc.update(header.toByteArray());
    out.writeInt(13);
    out.write(header.toByteArray());
    out.writeInt((int) crc.getValue());
    // an image chunk, so that the reader finds the end of the header
    out.writeInt(0);
    out.write("IDAT".getBytes(StandardCharsets.US_ASCII));
    out.writeInt(0x35AF061E);
    return bytes.toByteArray();
  }

  private static String refused(Path file, String what) {
    BadInputException e = assertThrows(BadInputException.class, () -> ImageFiles.read(file), what);
    assertTrue(e.getMessage().startsWith(file.toString()), e.getMessage());
    assertEquals(1, e.getMessage().lines().count(), e.getMessage());
    return e.getMessage();
  }
}
