// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Checkpoints of any naming scheme, whole or not, for tests of everything that reads them. */
public final class TestCheckpoints {
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

  private TestCheckpoints() {}

  /** Writes a safetensors file; holes take no space on the disk. */
  public static void write(Path file, Map<String, Tensor> tensors) {
    SafetensorsWriter.writeFile(file, list(tensors));
  }

  private static List<SafetensorsWriter.Tensor> list(Map<String, Tensor> tensors) {
    return tensors.entrySet().stream().map(entry -> {
      Tensor tensor = entry.getValue();
      return new SafetensorsWriter.Tensor(entry.getKey(), tensor.type(), tensor.shape(), file -> {
        if (tensor.data() == null) {
          file.writeZeros(tensor.bytes());
        } else {
          file.write(MemorySegment.ofArray(tensor.data()));
        }
      });
    }).toList();
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

  /** All elements of a tensor that fits an array. */
  public static float[] floats(TensorView view) {
    float[] values = new float[Math.toIntExact(view.elements())];
    for (int i = 0; i < values.length; i++) {
      values[i] = view.floatAt(i);
    }
    return values;
  }

  /** The tensor as a reader gives it. */
  public static TensorView view(Tensor tensor) {
    return new TensorView("", tensor.type(), tensor.shape(), tensor.bytes(), MemorySegment.ofArray(tensor.data()));
  }

  /** The same tensor with its elements converted; to F32 exactly, to F16 or BF16 rounded. */
  public static Tensor convert(Tensor tensor, TensorType type) {
    TensorView view = view(tensor);
    int bytes = Math.toIntExact(view.elements() * type.bytes());
    ByteBuffer out = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : floats(view)) {
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
    if (scheme == NamingScheme.SEPARATE_FILES) {
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

  private static void writeShards(Path modelDir, Map<String, Tensor> tensors, int count) {
    List<List<SafetensorsWriter.Tensor>> shards = new ArrayList<>();
    for (int shard = 0; shard < count; shard++) {
      shards.add(new ArrayList<>());
    }
    int i = 0;
    for (SafetensorsWriter.Tensor tensor : list(tensors)) {
      shards.get(i++ % count).add(tensor);
    }
    removeWeights(modelDir);
    SafetensorsWriter.writeShards(modelDir, shards);
  }

  private static void removeWeights(Path modelDir) {
    try (var files = Files.list(modelDir)) {
      for (Path file : files.filter(f -> f.getFileName().toString().startsWith("model") && !Files.isDirectory(f)).toList()) {
        Files.delete(file);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
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
