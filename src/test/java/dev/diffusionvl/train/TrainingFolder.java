// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.Tokenizer;
import dev.diffusionvl.model.GoldenCase;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import javax.imageio.ImageIO;

/** The demo model's configuration and tokenizer, and a folder with data made up for a test. */
record TrainingFolder(Path folder) {
  static final ModelConfig CONFIG = ModelConfig.load(GoldenCase.MODEL);
  static final Tokenizer TOKENIZER = Tokenizer.load(GoldenCase.MODEL);

  static RowEncoder encoder(RowEncoder.Options options) {
    return new RowEncoder(CONFIG, TOKENIZER, options);
  }

  RowEncoder.Options options() {
    return RowEncoder.Options.of(CONFIG, folder);
  }

  /** A conversation of one turn, without an image where its name is null. */
  static String record(String id, String imageOrNull, String question, String answer) {
    String image = imageOrNull == null ? "" : "\"image\": \"" + imageOrNull + "\", ";
    return "{\"id\": \"" + id + "\", " + image + "\"conversations\": [{\"from\": \"human\", \"value\": \""
        + (imageOrNull == null ? "" : "<image>\\n") + question + "\"}, {\"from\": \"gpt\", \"value\": \"" + answer + "\"}]}";
  }

  Path write(String name, String text) {
    try {
      return Files.writeString(folder.resolve(name), text);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  Path writeLines(String name, List<String> records) {
    return write(name, String.join("\n", records) + "\n");
  }

  Path writeList(String name, List<String> records) {
    return write(name, "[\n" + String.join(",\n", records) + "\n]\n");
  }

  /** A picture of one grey. */
  Path writeImage(String name, int width, int height) {
    try {
      Path file = folder.resolve(name);
      ImageIO.write(new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB), "png", file.toFile());
      return file;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  ConversationData open(Path file) {
    return ConversationData.open(file, encoder(options()));
  }
}
