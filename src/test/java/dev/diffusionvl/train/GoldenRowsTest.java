// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.loader.ChatPrompt;
import dev.diffusionvl.loader.ImageFraming;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Token ids and labels of src/test/resources/golden-train, which an independent implementation made; its images keep their shape. */
class GoldenRowsTest {
  private static final Path ROOT = Path.of("src/test/resources/golden-train");

  @TempDir
  private Path folder;

  static List<Path> cases() throws IOException {
    try (Stream<Path> folders = Files.list(ROOT)) {
      return folders.filter(Files::isDirectory).sorted().toList();
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void rowsEqualTheReference(Path golden) throws IOException {
    JsonNode json = new ObjectMapper().readTree(golden.resolve("case.json").toFile());
    JsonNode expected = json.get("steps").get(0).get("samples");
    Path file = Files.writeString(folder.resolve("samples.json"), json.get("samples").toString());
    RowEncoder.Options options = RowEncoder.Options.of(TrainingFolder.CONFIG, golden).withFraming(ImageFraming.AS_IS)
        .withBlockSize(json.get("block_size").asInt());
    try (ConversationData data = ConversationData.open(file, TrainingFolder.encoder(options))) {
      assertEquals(expected.size(), data.size());
      for (int i = 0; i < data.size(); i++) {
        TrainingRow row = data.row(i);
        assertEquals(json.get("samples").get(i).get("id").asText(), row.id());
        assertArrayEquals(ints(expected.get(i).get("token_ids")), row.tokenIds());
        assertArrayEquals(ints(expected.get(i).get("labels")), row.labels());
        row.images().forEach(image -> {
          assertEquals(image.image().rows(), image.rows());
          for (int at = image.firstRow(); at < image.firstRow() + image.rows(); at++) {
            assertEquals(ChatPrompt.IMAGE, row.tokenIds()[at]);
          }
        });
      }
    }
  }

  private static int[] ints(JsonNode array) {
    return StreamSupport.stream(array.spliterator(), false).mapToInt(JsonNode::asInt).toArray();
  }
}
