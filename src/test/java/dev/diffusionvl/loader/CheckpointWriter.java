// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;

/** Writes checkpoints in any naming scheme, for tests of everything that reads them. */
public final class CheckpointWriter {
  /**
   * A tensor to write.
   *
   * @param data its bytes, or null for a hole in a sparse file
   */
  public record Tensor(TensorType type, long[] shape, byte[] data) {
    long bytes() {
      return Arrays.stream(shape).reduce(type.bytes(), Math::multiplyExact);
    }
  }

  private CheckpointWriter() {}

  /** Writes a safetensors file; holes take no space on the disk. */
  public static void write(Path file, Map<String, Tensor> tensors) {
    StringBuilder header = new StringBuilder("{\"__metadata__\":{\"format\":\"pt\"}");
    long end = 0;
    for (Map.Entry<String, Tensor> entry : tensors.entrySet()) {
      Tensor tensor = entry.getValue();
      header.append(",\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}".formatted(entry.getKey(),
          tensor.type(), Arrays.toString(tensor.shape()), end, end + tensor.bytes()));
      end += tensor.bytes();
    }
    byte[] json = header.append('}').toString().getBytes(StandardCharsets.UTF_8);
    try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
      out.setLength(0);
      out.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(json.length).array());
      out.write(json);
      long at = 8 + json.length;
      out.setLength(at + end);
      for (Tensor tensor : tensors.values()) {
        if (tensor.data() != null) {
          out.seek(at);
          out.write(tensor.data());
        }
        at += tensor.bytes();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** All tensors of a checkpoint by canonical name, copied. */
  public static Map<String, Tensor> read(Path modelDir) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    try (Checkpoint checkpoint = Checkpoint.open(modelDir)) {
      for (String name : checkpoint.names()) {
        TensorView view = checkpoint.tensor(name);
        tensors.put(name, new Tensor(view.type(), view.shape(), view.data().toArray(ValueLayout.JAVA_BYTE)));
      }
    }
    return tensors;
  }

  /** The same tensor with its elements converted; to F32 exactly, to F16 or BF16 rounded. */
  public static Tensor convert(Tensor tensor, TensorType type) {
    TensorView view = new TensorView("", tensor.type(), tensor.shape(), tensor.bytes(),
        MemorySegment.ofArray(tensor.data()));
    int bytes = Math.toIntExact(view.elements() * type.bytes());
    ByteBuffer out = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : view.toFloats()) {
      switch (type) {
        case F32 -> out.putFloat(value);
        case F16 -> out.putShort(Float.floatToFloat16(value));
        case BF16 -> out.putShort((short) (Float.floatToRawIntBits(value) + 0x7fff
            + (Float.floatToRawIntBits(value) >>> 16 & 1) >>> 16));
        default -> throw new IllegalArgumentException(type.toString());
      }
    }
    return new Tensor(type, tensor.shape(), out.array());
  }

  /**
   * Writes a model directory: the JSON and text files of another one, and weights in the given scheme.
   *
   * @param shards files to spread the weights over, with an index if more than one; scheme C has its own files
   */
  public static void writeModel(Path modelDir, Path filesFrom, Map<String, Tensor> canonical, NamingScheme scheme,
      int shards) {
    copyFiles(filesFrom, modelDir);
    writeWeights(modelDir, canonical, scheme, shards);
  }

  /** Writes the weights alone. */
  public static void writeWeights(Path modelDir, Map<String, Tensor> canonical, NamingScheme scheme, int shards) {
    if (scheme == NamingScheme.C) {
      write(modelDir.resolve("vision_tower.safetensors"), part(canonical, scheme, "vision."));
      write(modelDir.resolve("projector.safetensors"), part(canonical, scheme, "merger."));
      Map<String, Tensor> language = new LinkedHashMap<>(canonical);
      language.keySet().removeIf(name -> name.startsWith("vision.") || name.startsWith("merger."));
      writeShards(modelDir, part(language, scheme, ""), shards);
    } else {
      writeShards(modelDir, part(canonical, scheme, ""), shards);
    }
  }

  private static Map<String, Tensor> part(Map<String, Tensor> canonical, NamingScheme scheme, String prefix) {
    Map<String, Tensor> named = new LinkedHashMap<>();
    canonical.forEach((name, tensor) -> {
      if (name.startsWith(prefix)) {
        named.put(scheme.nameInFile(name), tensor);
      }
    });
    return named;
  }

  private static void writeShards(Path modelDir, Map<String, Tensor> tensors, int shards) {
    if (shards == 1) {
      write(modelDir.resolve("model.safetensors"), tensors);
      return;
    }
    Map<String, String> index = new LinkedHashMap<>();
    for (int shard = 0; shard < shards; shard++) {
      String file = "model-%05d-of-%05d.safetensors".formatted(shard + 1, shards);
      Map<String, Tensor> content = new LinkedHashMap<>();
      int i = 0;
      for (Map.Entry<String, Tensor> entry : tensors.entrySet()) {
        if (i++ % shards == shard) {
          content.put(entry.getKey(), entry.getValue());
          index.put(entry.getKey(), file);
        }
      }
      write(modelDir.resolve(file), content);
    }
    String entries = index.entrySet().stream().map(e -> "\"" + e.getKey() + "\":\"" + e.getValue() + "\"")
        .collect(Collectors.joining(","));
    writeText(modelDir.resolve("model.safetensors.index.json"), "{\"metadata\":{},\"weight_map\":{" + entries + "}}");
  }

  /** Copies everything but weights and what is there already. */
  public static void copyFiles(Path from, Path to) {
    try (var files = Files.list(from)) {
      Files.createDirectories(to);
      for (Path file : files.filter(f -> !f.toString().endsWith(".safetensors")).toList()) {
        Path copy = to.resolve(file.getFileName().toString());
        if (!Files.exists(copy)) {
          Files.copy(file, copy);
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static void writeText(Path file, String text) {
    try {
      Files.writeString(file, text);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
