// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/** Token ids and labels of the golden training steps, which an independent implementation made; its images keep their shape. */
class GoldenRowsTest {
  static final List<String> NAMES = TrainingCase.NAMES;

  @TempDir
  private Path folder;

  @ParameterizedTest
  @FieldSource("NAMES")
  void rowsEqualTheReference(String name) throws IOException {
    TrainingCase golden = TrainingCase.read(name);
    List<Example> expected = golden.examples();
    Path file = Files.writeString(folder.resolve("samples.json"), golden.json().get("samples").toString());
    RowEncoder.Options options = RowEncoder.Options.of(TrainingFolder.CONFIG, golden.folder())
        .withBlockSize(golden.blockSize());
    try (ConversationData data = ConversationData.open(file, TrainingFolder.encoder(options))) {
      assertEquals(expected.size(), data.size());
      for (int i = 0; i < data.size(); i++) {
        TrainingRow row = data.row(i);
        assertEquals("sample" + i, row.id());
        assertArrayEquals(expected.get(i).ids(), row.example().ids());
        assertArrayEquals(expected.get(i).labels(), row.example().labels());
        assertEquals(expected.get(i).imageRows(), row.images().stream().mapToInt(TrainingRow.ImageRows::rows).sum());
        for (TrainingRow.ImageRows image : row.images()) {
          assertEquals(image.image().rows(), image.rows());
          for (int at = image.firstRow(); at < image.firstRow() + image.rows(); at++) {
            assertEquals(Example.IMAGE, row.example().ids()[at]);
          }
        }
      }
    }
  }
}
