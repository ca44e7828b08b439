// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.loader.SafetensorsWriter.Tensor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Files that {@link SafetensorsWriter} makes: as they are read back, byte for byte, and what is left when writing fails. */
class SafetensorsWriterTest {
  @TempDir
  private Path folder;

  private static Tensor random(String name, TensorType type, long... shape) {
    byte[] data = new byte[(int) Arrays.stream(shape).reduce(type.bytes(), Math::multiplyExact)];
    new Random(name.hashCode()).nextBytes(data);
    return Tensor.of(name, type, shape, MemorySegment.ofArray(data));
  }

  /** Every element type, odd sizes, a scalar, an empty tensor, names that JSON must escape. */
  private static List<Tensor> tensors() {
    List<Tensor> tensors = new ArrayList<>();
    for (TensorType type : TensorType.values()) {
      tensors.add(random("of " + type, type, 3, 5));
    }
    Collections.reverse(tensors);
    tensors.add(random("scalar", TensorType.F32));
    tensors.add(random("empty", TensorType.BF16, 0, 7));
    tensors.add(random("\"quoted\" \\ größer \n", TensorType.I32, 1));
    return tensors;
  }

  private static byte[] bytes(Path model, Tensor tensor) throws IOException {
    Path file = model.resolve("model.safetensors");
    if (!Files.exists(file)) {
      JsonNode index = new ObjectMapper().readTree(model.resolve("model.safetensors.index.json").toFile());
      file = model.resolve(index.get("weight_map").get(tensor.name()).asText());
    }
    try (Safetensors read = Safetensors.open(file)) {
      TensorView view = read.tensor(tensor.name());
      assertEquals(tensor.type(), view.type());
      assertArrayEquals(tensor.shape(), view.shape());
      return view.data().toArray(ValueLayout.JAVA_BYTE);
    }
  }

  private byte[] expected(Tensor tensor) throws IOException {
    Path file = Files.createTempFile(folder, "expected", "");
    try (OutputFile out = OutputFile.create(file)) {
      tensor.data().writeTo(out);
      out.commit();
    }
    byte[] bytes = Files.readAllBytes(file);
    Files.delete(file);
    return bytes;
  }

  private TreeSet<String> names(Path in) throws IOException {
    try (Stream<Path> list = Files.list(in)) {
      return new TreeSet<>(list.map(p -> p.getFileName().toString()).toList());
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 40, 150, 1 << 20})
  void everyTypeComesBackByteForByte(long shardBytes) throws IOException {
    List<Tensor> tensors = tensors();
    Path model = Files.createDirectory(folder.resolve("model"));
    SafetensorsWriter.writeModel(model, tensors, shardBytes);
    for (Tensor tensor : tensors) {
      assertArrayEquals(expected(tensor), bytes(model, tensor), tensor.name());
    }
    if (shardBytes == 1 << 20) {
      assertEquals(new TreeSet<>(List.of("model.safetensors")), names(model));
      return;
    }
    JsonNode index = new ObjectMapper().readTree(model.resolve("model.safetensors.index.json").toFile());
    assertEquals(tensors.stream().mapToLong(Tensor::bytes).sum(), index.get("metadata").get("total_size").asLong());
    TreeSet<String> files = new TreeSet<>(List.of("model.safetensors.index.json"));
    index.get("weight_map").forEach(file -> files.add(file.asText()));
    assertEquals(files, names(model));
    TreeMap<String, Long> sizes = new TreeMap<>();
    TreeMap<String, Integer> counts = new TreeMap<>();
    for (Tensor tensor : tensors) {
      String file = index.get("weight_map").get(tensor.name()).asText();
      sizes.merge(file, tensor.bytes(), Long::sum);
      counts.merge(file, 1, Integer::sum);
    }
    sizes.forEach((file, size) -> assertTrue(size <= shardBytes || counts.get(file) == 1 || shardBytes == 1, file));
  }

  /** Names of files have the digits that everyone reads, whatever the locale's own are. */
  @Test
  void namesOfShardsDoNotFollowTheLocale() throws IOException {
    Locale before = Locale.getDefault();
    Locale.setDefault(Locale.of("ar", "EG"));
    try {
      SafetensorsWriter.writeModel(folder, List.of(random("a", TensorType.U8, 8), random("b", TensorType.U8, 8)), 8);
    } finally {
      Locale.setDefault(before);
    }
    assertTrue(Files.exists(folder.resolve("model-00001-of-00002.safetensors")));
  }

  @Test
  void sameTensorsGiveTheSameFile() throws IOException {
    SafetensorsWriter.writeFile(folder.resolve("a"), tensors());
    SafetensorsWriter.writeFile(folder.resolve("b"), tensors());
    assertArrayEquals(Files.readAllBytes(folder.resolve("a")), Files.readAllBytes(folder.resolve("b")));
  }

  /** The header's bytes as the format prescribes, and every tensor at a multiple of its element size. */
  @Test
  void headerIsAligned() throws IOException {
    SafetensorsWriter.writeFile(folder.resolve("small"), List.of(random("b", TensorType.U8, 1), random("a", TensorType.F32, 2)));
    byte[] file = Files.readAllBytes(folder.resolve("small"));
    long length = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong();
    assertEquals(0, length % 8);
    assertEquals("{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
        + "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[8,9]}}",
        new String(file, 8, (int) length, StandardCharsets.UTF_8).strip());
    SafetensorsWriter.writeFile(folder.resolve("mixed"), tensors());
    file = Files.readAllBytes(folder.resolve("mixed"));
    length = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong();
    assertEquals(0, length % 8);
    JsonNode header = new ObjectMapper().readTree(Arrays.copyOfRange(file, 8, 8 + (int) length));
    for (Tensor tensor : tensors()) {
      assertEquals(0, header.get(tensor.name()).get("data_offsets").get(0).asLong() % tensor.type().bytes(), tensor.name());
    }
  }

  @Test
  void twoTensorsOfOneNameAreRefused() throws IOException {
    List<Tensor> twice = List.of(random("a", TensorType.F32, 2), random("a", TensorType.F32, 2));
    assertThrows(IllegalArgumentException.class, () -> SafetensorsWriter.writeFile(folder.resolve("x"), twice));
    assertThrows(IllegalArgumentException.class, () -> SafetensorsWriter.writeModel(folder, twice, 1));
    assertThrows(IllegalArgumentException.class,
        () -> SafetensorsWriter.writeModel(folder, List.of(random("__metadata__", TensorType.F32, 1)), 1));
    assertEquals(new TreeSet<>(), names(folder));
  }

  /** Whichever tensor fails, in whichever shard: the folder is as before. */
  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3})
  void failureLeavesNothing(int failing) throws IOException {
    List<Tensor> tensors = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      tensors.add(random("t" + i, TensorType.F32, 100));
    }
    tensors.set(failing, new Tensor("t" + failing, TensorType.F32, new long[] {100}, file -> {
      file.write(MemorySegment.ofArray(new byte[200]));
      throw new OutputException(Path.of("somewhere"), "cannot be written: No space left on device", null);
    }));
    for (long shardBytes : new long[] {400, 1000, 10_000}) {
      assertThrows(OutputException.class, () -> SafetensorsWriter.writeModel(folder, tensors, shardBytes));
      assertEquals(new TreeSet<>(), names(folder));
    }
  }

  @Test
  void tooFewBytesAreNoticed() throws IOException {
    Tensor tensor = new Tensor("short", TensorType.F32, new long[] {2}, file -> file.write(MemorySegment.ofArray(new byte[7])));
    String message = assertThrows(IllegalStateException.class,
        () -> SafetensorsWriter.writeModel(folder, List.of(tensor), 100)).getMessage();
    assertEquals("short: 7 bytes written, F32[2] has 8", message);
    assertEquals(new TreeSet<>(), names(folder));
  }

  @Test
  void foldersWithWeightsAreRefused() throws IOException {
    SafetensorsWriter.writeModel(folder, tensors(), Long.MAX_VALUE);
    byte[] before = Files.readAllBytes(folder.resolve("model.safetensors"));
    for (long shardBytes : new long[] {1, Long.MAX_VALUE}) {
      assertThrows(BadInputException.class,
          () -> SafetensorsWriter.writeModel(folder, List.of(random("a", TensorType.F32, 1)), shardBytes));
    }
    assertArrayEquals(before, Files.readAllBytes(folder.resolve("model.safetensors")));
    assertEquals(new TreeSet<>(List.of("model.safetensors")), names(folder));
  }

  /** An index that cannot be written, because a folder has its name, takes the complete shards with it. */
  @Test
  void shardsGoWhenTheIndexFails() throws IOException {
    Path model = Files.createDirectory(folder.resolve("m"));
    List<Tensor> tensors = List.of(new Tensor("a", TensorType.U8, new long[] {1}, file -> {
      mkdir(model.resolve("model.safetensors.index.json"));
      file.write(MemorySegment.ofArray(new byte[1]));
    }), random("b", TensorType.U8, 1));
    assertThrows(BadInputException.class, () -> SafetensorsWriter.writeModel(model, tensors, 1));
    assertEquals(new TreeSet<>(List.of("model.safetensors.index.json")), names(model));
    assertFalse(Files.isRegularFile(model.resolve("model.safetensors.index.json")));
  }

  private static void mkdir(Path path) {
    try {
      Files.createDirectory(path);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }
}
