// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.model.Request;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.deploy.SparkHadoopUtil;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import scala.jdk.javaapi.CollectionConverters;

/** Makes requests of a row's cells. An image is the bytes of its file, or its name in any file system that Spark reads. */
final class RowReader {
  private static final int MAX_FILE_BYTES = 256 << 20;

  private final ModelConfig config;
  private final String folder;
  private final long maxPixels;
  private final Configuration hadoop = SparkHadoopUtil.get().conf();

  /** @param folder that names are relative to and must not leave; empty: they are whole paths */
  RowReader(ModelConfig config, String folder, long maxPixels) {
    this.config = config;
    this.folder = folder;
    this.maxPixels = maxPixels;
  }

  /** Whether a column of this type can hold a row's image or images. @param type null: there is no such column */
  static boolean accepts(DataType type) {
    DataType element = type instanceof ArrayType array ? array.elementType() : type;
    return DataTypes.StringType.equals(element) || DataTypes.BinaryType.equals(element) || DataTypes.NullType.equals(element);
  }

  /** Whether such a column holds names of images, and not their bytes. */
  static boolean names(DataType type) {
    return !type.sql().contains("BINARY");
  }

  /** @throws BadInputException naming what is wrong with the row */
  Request request(String prompt, Object cell) throws IOException {
    if (prompt == null || prompt.isBlank()) {
      throw new BadInputException("the prompt is empty");
    }
    List<RgbImage> images = new ArrayList<>();
    for (Object image : list(cell)) {
      images.add(switch (image) {
        case byte[] bytes -> ImageFiles.decode(bytes, "image " + (images.size() + 1), maxPixels);
        case String name -> ImageFiles.decode(bytes(name), name, maxPixels);
        case null -> throw new BadInputException("image " + (images.size() + 1) + " is null");
        default -> throw new BadInputException("an image is the bytes of a file or its name, not " + image.getClass().getSimpleName());
      });
    }
    return new Request(prompt, images, null, PromptForm.of(config));
  }

  private static List<?> list(Object cell) {
    return switch (cell) {
      case null -> List.of();
      case scala.collection.Seq<?> several -> CollectionConverters.asJava(several);
      default -> List.of(cell);
    };
  }

  private byte[] bytes(String name) throws IOException {
    Path path = path(name);
    try (InputStream in = path.getFileSystem(hadoop).open(path)) {
      byte[] bytes = in.readNBytes(MAX_FILE_BYTES + 1);
      if (bytes.length > MAX_FILE_BYTES) {
        throw new BadInputException(name + ": larger than 256 MB");
      }
      return bytes;
    } catch (FileNotFoundException e) {
      throw new BadInputException(name + ": no such file", e);
    }
  }

  /** Names come from a table that a stranger may have made: beside a folder they must stay within it. */
  private Path path(String name) {
    try {
      Path path = new Path(name);
      if (folder.isEmpty()) {
        if (!path.isAbsolute()) {
          throw new BadInputException("image: '" + name + "' is relative, and no folder of the images is given");
        }
        return path;
      }
      java.nio.file.Path relative = java.nio.file.Path.of(name).normalize();
      if (path.isAbsolute() || path.toUri().getScheme() != null || relative.startsWith("..")) {
        throw new BadInputException("image: '" + name + "' leads out of the folder of the images");
      }
      return new Path(new Path(folder), relative.toString());
    } catch (IllegalArgumentException e) {
      throw new BadInputException("image: '" + name + "' is not a file name", e);
    }
  }
}
