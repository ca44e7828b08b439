// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import dev.diffusionvl.loader.BadInputException;
import dev.hardwood.reader.ParquetFileReader;
import dev.hardwood.reader.RowReader;
import dev.hardwood.row.PqList;
import dev.hardwood.row.PqStruct;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.IntStream;

/**
 * Rows of a parquet file, with images as Hugging Face's libraries write them: a structure of {@code bytes} and {@code path}. One group of
 * rows is in memory at a time.
 */
final class ParquetRows implements Rows {
  private static final Logger LOG = Logger.getLogger("dev.hardwood"); // kept, so that its level is

  static {
    LOG.setLevel(Level.WARNING); // it tells how it will decode
  }

  private final Path file;
  private final Path images;
  private final long first;
  private final ParquetFileReader reader;
  private final long[] groups; // number of rows of each
  private int group;
  private long groupStart;
  private RowReader rows; // null: none is open
  private long read;

  ParquetRows(Path file, Path images, long first) {
    this.file = file;
    this.images = images;
    this.first = first;
    ParquetFileReader opened = null;
    try {
      opened = ParquetFileReader.open(new CheckedInput(file));
      groups = opened.getFileMetaData().rowGroups().stream().mapToLong(rowGroup -> rowGroup.numRows()).toArray();
    } catch (IOException | RuntimeException | OutOfMemoryError e) {
      close(opened);
      throw broken(e);
    }
    reader = opened;
  }

  @Override
  public DataRow next() {
    try {
      while (rows == null || !rows.hasNext()) {
        closeGroup();
        if (group == groups.length) {
          return null;
        }
        rows = groups[group] == 0 ? null : reader.buildRowReader().skip(groupStart).head(groups[group]).build();
        groupStart += groups[group++];
      }
      rows.next();
      Map<String, Object> fields = new HashMap<>();
      for (int i = 0; i < rows.getFieldCount(); i++) {
        String name = rows.getFieldName(i);
        fields.put(name, rows.isNull(i) ? null : value(name, rows.getValue(i)));
      }
      read++;
      return new DataRow(where(), first + read - 1, fields);
    } catch (RuntimeException | InternalError | OutOfMemoryError e) { // a mapped file that shrinks; lengths that are not true
      throw broken(e);
    }
  }

  private String where() {
    return file + ": row " + read;
  }

  /** As {@link DataRow} has it; null for what no task asks for. */
  private Object value(String name, Object value) {
    return switch (value) {
      case null -> null;
      case String text -> text;
      case Number number -> number;
      case Boolean truth -> truth;
      case byte[] bytes -> IMAGE_COLUMN.matcher(name).matches() ? new Picture.InBytes(pictureName(name), bytes)
          : new String(bytes, StandardCharsets.UTF_8);
      case PqStruct struct -> picture(name, struct);
      case PqList list -> IntStream.range(0, list.size()).mapToObj(i -> value(name, list.get(i))).toList();
      default -> value.toString();
    };
  }

  private Picture picture(String name, PqStruct struct) {
    List<String> fields = IntStream.range(0, struct.getFieldCount()).mapToObj(struct::getFieldName).toList();
    if (fields.contains("bytes") && !struct.isNull("bytes")) {
      return new Picture.InBytes(pictureName(name), struct.getBinary("bytes"));
    }
    return fields.contains("path") && !struct.isNull("path") ? new Picture.InFile(images, struct.getString("path")) : null;
  }

  private String pictureName(String column) {
    return file + ": row " + (read + 1) + ": " + column;
  }

  private BadInputException broken(Throwable e) {
    String reason = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage().lines().findFirst().orElse("");
    return new BadInputException(file + ": cannot be read as a parquet file: " + reason, e);
  }

  private void closeGroup() {
    if (rows != null) {
      rows.close();
      rows = null;
    }
  }

  @Override
  public void close() {
    closeGroup();
    close(reader);
  }

  private static void close(ParquetFileReader opened) {
    try {
      if (opened != null) {
        opened.close();
      }
    } catch (IOException e) {
      // what was read is there
    }
  }
}
