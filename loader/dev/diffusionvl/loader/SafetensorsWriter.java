// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeMap;

/**
 * Writes safetensors files. The same tensors give the same bytes. Data goes through piece by piece and is never held as a whole. A file is
 * whole or not there (see {@link OutputFile}).
 *
 * <p>In a file the tensors with the widest elements come first, otherwise they keep their order; so each begins at a multiple of its
 * element size, because the header's length is a multiple of 8.
 */
public final class SafetensorsWriter {
  /** The usual largest size of a shard. */
  public static final long SHARD_BYTES = 5_000_000_000L;

  private SafetensorsWriter() {}

  /** Where the bytes of a tensor come from. */
  @FunctionalInterface
  public interface Data {
    /** Writes exactly as many bytes as the tensor has, row-major and little-endian. */
    void writeTo(OutputFile file);
  }

  /**
   * A tensor to write.
   *
   * @param shape dimensions; empty for a scalar
   * @param data asked once, when the tensor's turn has come
   */
  public record Tensor(String name, TensorType type, long[] shape, Data data) {
    /** A tensor whose bytes are at hand, in memory or in a mapped file. */
    public static Tensor of(String name, TensorType type, long[] shape, MemorySegment bytes) {
      return new Tensor(name, type, shape, file -> file.write(bytes));
    }

    /** Length of the data in bytes. */
    public long bytes() {
      return Arrays.stream(shape).reduce(type.bytes(), Math::multiplyExact);
    }
  }

  /**
   * Writes one file, in place of what has that name.
   *
   * @throws IllegalArgumentException if two tensors have one name
   * @throws BadInputException if no file can be made there
   * @throws OutputException if the disk is full; no file is left then
   */
  public static void writeFile(Path file, List<Tensor> tensors) {
    try (OutputFile out = content(file, tensors)) {
      out.commit();
    }
  }

  /**
   * Writes the weights of a model: {@code model.safetensors} if they fit one file, else shards and
   * {@code model.safetensors.index.json}. Either all files are there in the end or none; the index, without which shards are not found,
   * comes last.
   *
   * @param folder must exist and hold no weights yet
   * @param maxShardBytes most bytes of tensors in a file; a larger tensor has a file of its own
   * @throws IllegalArgumentException if two tensors have one name
   * @throws BadInputException if the folder cannot be written to or holds weights
   * @throws OutputException if the disk is full; no file is left then
   */
  public static void writeModel(Path folder, List<Tensor> tensors, long maxShardBytes) {
    writeShards(folder, shards(tensors, maxShardBytes));
  }

  private static List<List<Tensor>> shards(List<Tensor> tensors, long maxShardBytes) {
    List<List<Tensor>> shards = new ArrayList<>(List.of(new ArrayList<>()));
    long bytes = 0;
    for (Tensor tensor : tensors) {
      if (bytes + tensor.bytes() > maxShardBytes && !shards.getLast().isEmpty()) {
        shards.add(new ArrayList<>());
        bytes = 0;
      }
      shards.getLast().add(tensor);
      bytes += tensor.bytes();
    }
    return shards;
  }

  /** As {@link #writeModel}, with a division into files that is given. */
  static void writeShards(Path folder, List<List<Tensor>> shards) {
    for (String name : new String[] {CheckpointFiles.SINGLE, CheckpointFiles.INDEX}) {
      if (Files.exists(folder.resolve(name))) {
        throw BadInputException.of(folder, name, "is there already: weights are written to a folder without any");
      }
    }
    List<OutputFile> files = new ArrayList<>();
    List<Path> complete = new ArrayList<>();
    boolean done = false;
    try {
      TreeMap<String, String> index = new TreeMap<>();
      long total = 0;
      for (int i = 0; i < shards.size(); i++) {
        String name = shards.size() == 1 ? CheckpointFiles.SINGLE
            : String.format(Locale.ROOT, "model-%05d-of-%05d.safetensors", i + 1, shards.size());
        for (Tensor tensor : shards.get(i)) {
          if (index.put(tensor.name(), name) != null) {
            throw new IllegalArgumentException("two tensors are called " + tensor.name());
          }
          total += tensor.bytes();
        }
        complete.add(folder.resolve(name));
        files.add(content(complete.getLast(), shards.get(i)));
      }
      files.forEach(OutputFile::commit);
      if (shards.size() > 1) {
        OutputFile.write(folder.resolve(CheckpointFiles.INDEX), index(index, total));
      }
      done = true;
    } finally {
      files.forEach(OutputFile::close);
      if (!done) {
        complete.forEach(SafetensorsWriter::delete);
      }
    }
  }

  private static void delete(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      // a shard without an index is not found by any reader; why the writing failed is what the caller hears
    }
  }

  /** The file with all its content, not yet committed. */
  private static OutputFile content(Path path, List<Tensor> tensors) {
    List<Tensor> ordered = tensors.stream().sorted(Comparator.comparingInt((Tensor t) -> t.type().bytes()).reversed()).toList();
    byte[] header = header(ordered);
    OutputFile file = OutputFile.create(path);
    try {
      file.write(MemorySegment.ofArray(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(header.length).array()));
      file.write(MemorySegment.ofArray(header));
      for (Tensor tensor : ordered) {
        long before = file.position();
        tensor.data().writeTo(file);
        if (file.position() - before != tensor.bytes()) {
          throw new IllegalStateException(tensor.name() + ": " + (file.position() - before) + " bytes written, " + tensor.type()
              + Arrays.toString(tensor.shape()) + " has " + tensor.bytes());
        }
      }
      return file;
    } catch (RuntimeException | Error e) {
      file.close();
      throw e;
    }
  }

  private interface JsonBody {
    void write(JsonGenerator json) throws IOException;
  }

  private static byte[] header(List<Tensor> tensors) {
    Set<String> names = new HashSet<>(Set.of(SafetensorsHeader.METADATA));
    ByteArrayOutputStream text = json(false, json -> {
      json.writeObjectFieldStart(SafetensorsHeader.METADATA);
      json.writeStringField("format", "pt");
      json.writeEndObject();
      long end = 0;
      for (Tensor tensor : tensors) {
        if (!names.add(tensor.name())) {
          throw new IllegalArgumentException("two tensors are called " + tensor.name());
        }
        json.writeObjectFieldStart(tensor.name());
        json.writeStringField("dtype", tensor.type().name());
        json.writeFieldName("shape");
        json.writeArray(tensor.shape(), 0, tensor.shape().length);
        json.writeFieldName("data_offsets");
        json.writeArray(new long[] {end, Math.addExact(end, tensor.bytes())}, 0, 2);
        json.writeEndObject();
        end += tensor.bytes();
      }
    });
    while (text.size() % 8 != 0) {
      text.write(' ');
    }
    return text.toByteArray();
  }

  private static byte[] index(TreeMap<String, String> files, long totalBytes) {
    return json(true, json -> {
      json.writeObjectFieldStart("metadata");
      json.writeNumberField("total_size", totalBytes);
      json.writeEndObject();
      json.writeObjectFieldStart("weight_map");
      for (var entry : files.entrySet()) {
        json.writeStringField(entry.getKey(), entry.getValue());
      }
      json.writeEndObject();
    }).toByteArray();
  }

  private static ByteArrayOutputStream json(boolean pretty, JsonBody body) {
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    try (JsonGenerator json = new JsonFactory().createGenerator(text)) {
      if (pretty) {
        json.setPrettyPrinter(new DefaultPrettyPrinter().withObjectIndenter(new DefaultIndenter("  ", "\n")));
      }
      json.writeStartObject();
      body.write(json);
      json.writeEndObject();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return text;
  }
}
