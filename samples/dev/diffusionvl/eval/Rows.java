// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ForeignContent;
import dev.diffusionvl.loader.InputFiles;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.regex.Pattern;

/** The rows of a file, one after another. For one thread. */
interface Rows extends AutoCloseable {
  /** Columns that hold images, where the values themselves do not say so. */
  Pattern IMAGE_COLUMN = Pattern.compile("image(s|_list|_\\d+)?");

  /** Null behind the last one. */
  DataRow next();

  @Override
  void close();

  /** What files of rows there are, by the ends of their names; of several copies of the same rows the first kind is read. */
  enum Kind {
    PARQUET(".parquet"), TSV(".tsv"), JSON_LINES(".jsonl");

    private final String ending;

    Kind(String ending) {
      this.ending = ending;
    }

    /** Null if the name is none of such a file. */
    static Kind of(Path file) {
      String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
      for (Kind kind : values()) {
        if (name.endsWith(kind.ending)) {
          return kind;
        }
      }
      return null;
    }
  }

  /**
   * @param images folder that names of images are relative to
   * @param first number of the file's first row
   * @throws BadInputException if the file is missing or not what its name says
   */
  static Rows open(Path file, Path images, long first) {
    try (InputStream in = Files.newInputStream(file)) {
      ForeignContent.refuse(file, in.readNBytes(ForeignContent.HEAD_BYTES));
    } catch (IOException e) {
      throw InputFiles.failure(file, e);
    }
    return switch (Kind.of(file)) {
      case PARQUET -> new ParquetRows(file, images, first);
      case TSV -> new TsvRows(file, first);
      case JSON_LINES -> new JsonRows(file, images, first);
      case null -> throw BadInputException.of(file, "is no data that is read: its name ends in none of .parquet, .tsv and .jsonl");
    };
  }
}
