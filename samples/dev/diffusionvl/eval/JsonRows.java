// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import com.fasterxml.jackson.databind.JsonNode;
import dev.diffusionvl.loader.InputFiles;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.StreamSupport;

/** Rows as JSON lines, with images as names of files. */
final class JsonRows implements Rows {
  private final Path file;
  private final Path images;
  private final long first;
  private final BufferedReader lines;
  private long line;
  private long read;

  JsonRows(Path file, Path images, long first) {
    this.file = file;
    this.images = images;
    this.first = first;
    try {
      lines = Files.newBufferedReader(file);
    } catch (IOException e) {
      throw InputFiles.failure(file, e);
    }
  }

  @Override
  public DataRow next() {
    try {
      for (String text = lines.readLine(); text != null; text = lines.readLine()) {
        line++;
        if (!text.isBlank()) {
          return row(text, file + ": line " + line);
        }
      }
      return null;
    } catch (IOException e) {
      throw InputFiles.failure(file, e);
    }
  }

  private DataRow row(String text, String where) {
    Map<String, Object> fields = new HashMap<>();
    JsonLine.object(text, where).propertyStream().forEach(field -> fields.put(field.getKey(), value(field.getKey(), field.getValue())));
    return new DataRow(where, first + read++, fields);
  }

  /** As {@link DataRow} has it; null for what no task asks for. */
  private Object value(String name, JsonNode node) {
    if (node.isArray()) {
      return StreamSupport.stream(node.spliterator(), false).map(one -> value(name, one)).toList();
    }
    if (node.isTextual() && IMAGE_COLUMN.matcher(name).matches()) {
      return new Picture.InFile(images, node.asText());
    }
    return node.isTextual() || node.isNumber() || node.isBoolean() ? node.asText() : null;
  }

  @Override
  public void close() {
    try {
      lines.close();
    } catch (IOException e) {
      // what was read is there
    }
  }
}
