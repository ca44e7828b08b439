// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DenoisingPictureTest {
  /** The picture in the README is what the demo model does today. */
  @Test
  void isThePictureOfTheReadme(@TempDir Path temp) throws IOException {
    Path picture = temp.resolve("picture.svg");
    DenoisingPicture.main(new String[] {"samples/models/diffusionvl-tiny", "samples/images/square-and-cross.png", "Describe this image.",
        picture.toString()});
    assertEquals(Files.readString(Path.of("docs/denoising.svg")), Files.readString(picture));
  }
}
