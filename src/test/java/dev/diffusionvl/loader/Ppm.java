// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/** Reads the binary PPM files in which Pillow's answers are stored. */
final class Ppm {
  private Ppm() {}

  static RgbImage read(Path file) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    // "P6", width and height, 255, each on a line
    int end = 0;
    for (int lines = 0; lines < 3; end++) {
      lines += bytes[end] == '\n' ? 1 : 0;
    }
    String[] header = new String(bytes, 0, end, StandardCharsets.US_ASCII).trim().split("\\s+");
    if (!header[0].equals("P6") || !header[3].equals("255")) {
      throw new IOException(file + " is no 8-bit P6 file");
    }
    return new RgbImage(Integer.parseInt(header[1]), Integer.parseInt(header[2]),
        Arrays.copyOfRange(bytes, end, bytes.length));
  }
}
