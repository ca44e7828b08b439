// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.dataformat.csv.CsvFactory;
import com.fasterxml.jackson.dataformat.csv.CsvMapper;
import com.fasterxml.jackson.dataformat.csv.CsvSchema;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.InputFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;

/**
 * Rows of a TSV file with a line of column names and images in base64, as MMBench is published. A number in an image's place is the
 * {@code index} of an earlier row with the same image.
 */
final class TsvRows implements Rows {
  private static final int MAX_CHARS = 256 << 20;
  private static final int MAX_INDEX_CHARS = 20; // no image is so small

  private final Path file;
  private final long first;
  private final MappingIterator<Map<String, String>> rows;
  private final Map<String, byte[]> images = new HashMap<>(); // by index
  private long read;

  TsvRows(Path file, long first) {
    this.file = file;
    this.first = first;
    StreamReadConstraints limits = StreamReadConstraints.builder().maxStringLength(MAX_CHARS).build();
    JsonFactory factory = CsvFactory.builder().streamReadConstraints(limits).build();
    CsvSchema schema = CsvSchema.emptySchema().withHeader().withColumnSeparator('\t').withStrictHeaders(false);
    try {
      rows = new CsvMapper((CsvFactory) factory).readerForMapOf(String.class).with(schema)
          .readValues(Files.newBufferedReader(file));
    } catch (IOException e) {
      throw broken(e);
    }
  }

  @Override
  public DataRow next() {
    try {
      if (!rows.hasNextValue()) {
        return null;
      }
      Map<String, Object> fields = new HashMap<>(rows.nextValue());
      read++;
      String where = file + ": row " + read;
      fields.replaceAll((name, value) -> IMAGE_COLUMN.matcher(name).matches() ? picture(where, name, (String) value, fields) : value);
      return new DataRow(where, first + read - 1, fields);
    } catch (IOException | RuntimeException e) {
      throw e instanceof BadInputException bad ? bad : broken(e);
    }
  }

  private Picture picture(String where, String column, String text, Map<String, Object> fields) {
    if (text == null || text.isEmpty()) {
      return null;
    }
    byte[] bytes;
    if (text.length() <= MAX_INDEX_CHARS) {
      bytes = images.get(text);
      if (bytes == null) {
        throw new BadInputException(where + ": " + column + ": neither an image in base64 nor the index of an earlier row");
      }
    } else {
      try {
        bytes = Base64.getDecoder().decode(text.strip());
      } catch (IllegalArgumentException e) {
        throw new BadInputException(where + ": " + column + ": no base64: " + e.getMessage(), e);
      }
      if (fields.get("index") instanceof String index) {
        images.putIfAbsent(index, bytes);
      }
    }
    return new Picture.InBytes(where + ": " + column, bytes);
  }

  private BadInputException broken(Exception e) {
    return new BadInputException(file + ": row " + (read + 1) + ": cannot be read as a TSV file: "
        + InputFiles.reason(e).lines().findFirst().orElse(""), e);
  }

  @Override
  public void close() {
    try {
      rows.close();
    } catch (IOException e) {
      // what was read is there
    }
  }
}
