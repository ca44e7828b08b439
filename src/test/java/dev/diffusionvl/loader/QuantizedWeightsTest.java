// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Quantised layers that an independent program wrote with their decoded values, whole and damaged; configurations; headers of real sizes.
 */
class QuantizedWeightsTest {
  private static final Path FILES = Path.of("src/test/resources/quant");
  private static final String LAYER = "model.layers.0.mlp.down_proj";
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int DAMAGED = Integer.getInteger("dvl.fuzz.inputs", 10_000) / 50; // of each file
  private static final long SEED = Long.getLong("dvl.fuzz.seed", 1);

  @TempDir private Path folder;

  static Stream<String> files() throws IOException {
    return JSON.readTree(FILES.resolve("configs.json").toFile()).propertyStream().map(Map.Entry::getKey);
  }

  private static ObjectNode config(String name) throws IOException {
    return (ObjectNode) JSON.readTree(FILES.resolve("configs.json").toFile()).get(name).get("quantization_config");
  }

  private QuantizationConfig read(JsonNode config) {
    Path file = folder.resolve("quantization.json");
    TestCheckpoints.writeText(file, config.toString());
    return QuantizationConfig.read(file);
  }

  @ParameterizedTest
  @MethodSource("files")
  void decodedValuesAreThoseOfTheFormula(String name) throws IOException {
    Path file = FILES.resolve(name + ".safetensors");
    Path out = folder.resolve("out.safetensors");
    WeightDecoder.decode(file, read(config(name)), LAYER, out);
    try (Safetensors expected = Safetensors.open(file); Safetensors decoded = Safetensors.open(out)) {
      assertArrayEquals(expected.tensor("expected").shape(), decoded.tensor(LAYER + ".weight").shape());
      assertArrayEquals(TestCheckpoints.floats(expected.tensor("expected")), TestCheckpoints.floats(decoded.tensor(LAYER + ".weight")));
    }
  }

  /** A layer that is stored as it is comes out as it is, without a configuration too. */
  @Test
  void plainLayersAreDecodedToo() throws IOException {
    Path file = FILES.resolve("awq.safetensors");
    Path plain = folder.resolve("plain.safetensors");
    Path again = folder.resolve("again.safetensors");
    WeightDecoder.decode(file, read(config("awq")), LAYER, plain);
    WeightDecoder.decode(plain, null, LAYER, again);
    assertEquals(-1, Files.mismatch(plain, again));
    String message = assertThrows(BadInputException.class, () -> WeightDecoder.decode(file, null, LAYER, again)).getMessage();
    assertTrue(message.contains("no quantization configuration"), message);
  }

  private static Map<String, Tensor> tensors(String name) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    try (Safetensors file = Safetensors.open(FILES.resolve(name + ".safetensors"))) {
      for (String tensor : file.names()) {
        TensorView view = file.tensor(tensor);
        tensors.put(tensor, new Tensor(view.type(), view.shape(), view.data().toArray(ValueLayout.JAVA_BYTE)));
      }
    }
    return tensors;
  }

  private void refused(String name, String field, String problem, Consumer<Map<String, Tensor>> damage) throws IOException {
    Map<String, Tensor> tensors = tensors(name);
    damage.accept(tensors);
    Path file = folder.resolve("damaged.safetensors");
    Path out = folder.resolve("out.safetensors");
    TestCheckpoints.write(file, tensors);
    QuantizationConfig config = read(config(name));
    String message = assertThrows(BadInputException.class, () -> WeightDecoder.decode(file, config, LAYER, out)).getMessage();
    assertTrue(message.startsWith(file + ": " + LAYER + (field.isEmpty() ? ":" : "." + field)) && message.contains(problem), message);
    assertFalse(Files.exists(out));
  }

  @ParameterizedTest
  @CsvSource({"awq,qweight", "awq,qzeros", "awq,scales", "gptq,qzeros", "gptq,scales", "ct-w4a16,weight_scale", "ct-w4a16,weight_shape",
      "ct-w4a16-asym,weight_zero_point", "ct-fp8-channel,weight_scale", "fp8-block,weight_scale_inv", "fp8-block,weight"})
  void missingTensorsAreNamed(String name, String part) throws IOException {
    refused(name, part, "missing", tensors -> tensors.remove(LAYER + "." + part));
  }

  @ParameterizedTest
  @CsvSource({"awq,scales", "gptq,scales", "ct-w4a16,weight_scale", "ct-fp8-channel,weight_scale", "fp8-block,weight_scale_inv"})
  void scalesThatAreNoNumbersAreNamed(String name, String part) throws IOException {
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, 0, -0f}) {
      refused(name, part, "element 1 is " + bad, tensors -> {
        Tensor scales = tensors.get(LAYER + "." + part);
        ByteBuffer bytes = ByteBuffer.wrap(scales.data()).order(ByteOrder.LITTLE_ENDIAN);
        switch (scales.type()) {
          case F16 -> bytes.putShort(2, Float.floatToFloat16(bad));
          case BF16 -> bytes.putShort(2, (short) (Float.floatToIntBits(bad) >> 16));
          default -> bytes.putFloat(4, bad);
        }
      });
    }
  }

  @ParameterizedTest
  @CsvSource({"awq,qzeros,I8", "gptq,g_idx,F32", "ct-w4a16,weight_packed,F32", "ct-fp8-channel,weight,F8_E5M2"})
  void otherTypesAreNamed(String name, String part, TensorType type) throws IOException {
    refused(name, part, "dtype " + type, tensors -> {
      Tensor tensor = tensors.get(LAYER + "." + part);
      tensors.put(LAYER + "." + part, new Tensor(type, tensor.shape(), Arrays.copyOf(tensor.data(),
          (int) new Tensor(type, tensor.shape(), null).bytes())));
    });
  }

  /** Zero points that are not packed, as numbers that may be out of range, are no zero points. */
  @ParameterizedTest
  @CsvSource({"awq,qzeros", "gptq,qzeros", "ct-w4a16-asym,weight_zero_point"})
  void zeroPointsThatAreNotPackedAreNamed(String name, String part) throws IOException {
    for (TensorType type : new TensorType[] {TensorType.I8, TensorType.I32}) {
      refused(name, part, type == TensorType.I32 ? "shape" : "dtype", tensors -> {
        long[] packed = tensors.get(LAYER + "." + part).shape();
        long[] shape = type == TensorType.I8 ? packed : new long[] {packed[0], 8 * packed[1]};
        byte[] sixteen = new byte[(int) new Tensor(type, shape, null).bytes()];
        Arrays.fill(sixteen, (byte) 16);
        tensors.put(LAYER + "." + part, new Tensor(type, shape, sixteen));
      });
    }
  }

  @Test
  void whatLeadsOutsideIsNamed() throws IOException {
    for (int group : new int[] {-1, 5, Integer.MAX_VALUE}) {
      refused("gptq-act-order", "g_idx", "of group " + group, tensors -> ByteBuffer.wrap(tensors.get(LAYER + ".g_idx").data())
          .order(ByteOrder.LITTLE_ENDIAN).putInt(4 * 7, group));
    }
    refused("ct-fp8-channel", "weight", "[1, 2] is NaN", tensors -> tensors.get(LAYER + ".weight").data()[160 + 2] = (byte) 0xff);
    refused("ct-w4a16", "weight_packed", "shape [72, 20]", tensors -> shape(tensors, 72, 168));
    refused("ct-w4a16", "weight_packed", "shape [72, 20]", tensors -> shape(tensors, 71, 160));
    refused("ct-w4a16", "", "possible are 1 to", tensors -> shape(tensors, -72, 160));
    refused("ct-w4a16", "", "possible are 1 to", tensors -> shape(tensors, 1L << 40, 160));
  }

  private static void shape(Map<String, Tensor> tensors, long out, long in) {
    ByteBuffer.wrap(tensors.get(LAYER + ".weight_shape").data()).order(ByteOrder.LITTLE_ENDIAN).putLong(0, out).putLong(8, in);
  }

  @ParameterizedTest
  @CsvSource({"awq,group_size,qzeros", "gptq,group_size,qzeros", "ct-w4a16,config_groups/group_0/weights/group_size,weight_scale"})
  void aGroupSizeThatTheTensorsDoNotHaveIsNamed(String name, String field, String part) throws IOException {
    for (int size : new int[] {64, 16, -1}) {
      ObjectNode config = config(name);
      ((ObjectNode) config.at(field.contains("/") ? "/" + field.substring(0, field.lastIndexOf('/')) : "")).put("group_size", size);
      QuantizationConfig read = read(config);
      Path file = FILES.resolve(name + ".safetensors");
      String message = assertThrows(BadInputException.class, () -> WeightDecoder.decode(file, read, LAYER,
          folder.resolve("out"))).getMessage();
      assertTrue(message.contains(LAYER + "." + part + ": shape"), message);
    }
  }

  /** Scales may be written as one number; words of codes and zero points may not. */
  @Test
  void onlyScalesMayBeOneNumber() throws IOException {
    ObjectNode config = config("awq");
    config.put("group_size", -1);
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put(LAYER + ".qweight", new Tensor(TensorType.I32, new long[] {3, 1}, new byte[12]));
    tensors.put(LAYER + ".scales", new Tensor(TensorType.F16, new long[] {1, 8}, new byte[16]));
    tensors.put(LAYER + ".qzeros", new Tensor(TensorType.I32, new long[] {1}, new byte[4]));
    Path file = folder.resolve("scalar.safetensors");
    TestCheckpoints.write(file, tensors);
    QuantizationConfig read = read(config);
    Path out = folder.resolve("out.safetensors");
    String message = assertThrows(BadInputException.class, () -> WeightDecoder.decode(file, read, LAYER, out)).getMessage();
    assertTrue(message.contains(LAYER + ".qzeros: shape [1]"), message);

    ObjectNode perTensor = config("ct-fp8-channel");
    ((ObjectNode) perTensor.at("/config_groups/group_0/weights")).put("strategy", "tensor");
    Map<String, Tensor> one = new LinkedHashMap<>();
    one.put(LAYER + ".weight", new Tensor(TensorType.F8_E4M3, new long[] {2, 3}, new byte[] {0x38, 0x40, 0x30, (byte) 0xb8, 0, 0x3c}));
    one.put(LAYER + ".weight_scale", new Tensor(TensorType.F32, new long[0], ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN)
        .putFloat(0.5f).array()));
    TestCheckpoints.write(file, one);
    WeightDecoder.decode(file, read(perTensor), LAYER, out);
    try (Safetensors decoded = Safetensors.open(out)) {
      assertArrayEquals(new float[] {0.5f, 1, 0.25f, -0.5f, 0, 0.75f}, TestCheckpoints.floats(decoded.tensor(LAYER + ".weight")));
    }
  }

  /** More elements than a piece holds, and not a multiple of it. */
  @Test
  void largePlainTensorsGoThroughInPieces() throws IOException {
    int out = 1025;
    int in = 1027;
    ByteBuffer values = ByteBuffer.allocate(4 * out * in).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < out * in; i++) {
      values.putFloat(i);
    }
    Path file = folder.resolve("large.safetensors");
    Path copy = folder.resolve("copy.safetensors");
    TestCheckpoints.write(file, Map.of(LAYER + ".weight", new Tensor(TensorType.F32, new long[] {out, in}, values.array())));
    WeightDecoder.decode(file, null, LAYER, copy);
    assertEquals(-1, Files.mismatch(file, copy));
  }

  /** Each line: file, path of a field, its value, what the message names. */
  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
      "awq | /quant_method | \"bitsandbytes\" | quant_method", "awq | /bits | 3 | bits", "awq | /bits | 8 | bits",
      "awq | /version | \"gemv\" | version", "awq | /zero_point | false | zero_point", "awq | /group_size | 0 | group_size",
      "awq | /group_size | \"128\" | group_size", "gptq | /bits | 2 | bits", "gptq | /checkpoint_format | \"gptq_v2\" | checkpoint_format",
      "fp8-block | /fmt | \"e5m2\" | fmt", "fp8-block | /activation_scheme | \"static\" | activation_scheme",
      "fp8-block | /weight_block_size | [128] | weight_block_size", "fp8-block | /weight_block_size | [128,0] | weight_block_size",
      "ct-w4a16 | /format | \"marlin-24\" | format", "ct-w4a16 | /config_groups | {} | config_groups",
      "ct-w4a16 | /kv_cache_scheme | {\"num_bits\":8} | kv_cache_scheme", "ct-w4a16 | /ignore | [3] | ignore",
      "ct-w4a16 | /ignore | [\"re:(\"] | ignore",
      "ct-w4a16 | /config_groups/group_0/weights/num_bits | 2 | config_groups.group_0.weights.num_bits",
      "ct-w4a16 | /config_groups/group_0/weights/type | \"float\" | config_groups.group_0.weights.type",
      "ct-w4a16 | /config_groups/group_0/weights/strategy | \"tensor_group\" | config_groups.group_0.weights.strategy",
      "ct-w4a16 | /config_groups/group_0/input_activations | {\"dynamic\":true,\"num_bits\":8} | config_groups.group_0.input_activations",
      "ct-fp8-channel | /config_groups/group_0/input_activations/dynamic | false | config_groups.group_0.input_activations.dynamic",
      "ct-fp8-channel | /config_groups/group_0/output_activations | {\"num_bits\":8} | config_groups.group_0.output_activations",
      "ct-fp8-channel | /config_groups/group_0/weights/symmetric | false | config_groups.group_0.weights.symmetric"})
  void whatIsNotSupportedIsNamed(String name, String path, String value, String field) throws IOException {
    ObjectNode config = config(name);
    int slash = path.lastIndexOf('/');
    ((ObjectNode) config.at(path.substring(0, slash))).set(path.substring(slash + 1), JSON.readTree(value));
    String message = assertThrows(BadInputException.class, () -> read(config)).getMessage();
    assertTrue(message.contains(": " + field), message);
  }

  @Test
  void layersAreFoundByNameAndPattern() throws IOException {
    QuantizationConfig compressed = read(config("ct-w4a16"));
    assertNull(compressed.formatOf("lm_head"));
    assertNull(compressed.formatOf("visual.blocks.0.attn.qkv"));
    assertEquals("INT4", compressed.formatOf("model.layers.0.self_attn.q_proj").label());
    assertEquals("INT4", compressed.formatOf("model.visual.blocks.0.attn.qkv").label()); // a pattern begins where the name does
    ObjectNode parts = config("awq");
    parts.putArray("modules_to_not_convert").add("visual");
    assertNull(read(parts).formatOf("model.visual.blocks.0.attn.qkv"));
    ObjectNode some = config("ct-w4a16");
    ((ObjectNode) some.at("/config_groups/group_0")).putArray("targets").add("re:.*mlp").add("model.layers.1");
    QuantizationConfig targets = read(some);
    assertEquals("INT4", targets.formatOf("model.layers.0.mlp.up_proj").label());
    assertEquals("INT4", targets.formatOf("model.layers.1.self_attn.q_proj").label());
    assertNull(targets.formatOf("model.layers.10.self_attn.q_proj"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"(a+)+$", "((a|aa)+)+b", "(.*)*x"})
  void patternsOfStrangersDoNotRunForEver(String pattern) throws IOException {
    ObjectNode config = config("ct-w4a16");
    config.putArray("ignore").add("re:" + pattern);
    QuantizationConfig read = read(config);
    assertTimeoutPreemptively(Duration.ofSeconds(10),
        () -> assertThrows(BadInputException.class, () -> read.formatOf("a".repeat(5000) + "!")));
  }

  /** Bytes changed, cut off or put in anywhere, of the tensors or of the configuration: decoded, or refused in one line that says where. */
  @ParameterizedTest
  @MethodSource("files")
  void randomDamageIsDecodedOrRefused(String name) throws IOException {
    byte[] tensors = Files.readAllBytes(FILES.resolve(name + ".safetensors"));
    byte[] config = config(name).toString().getBytes(StandardCharsets.UTF_8);
    Path file = folder.resolve("damaged.safetensors");
    Path json = folder.resolve("damaged.json");
    Path out = folder.resolve("out.safetensors");
    int refused = 0;
    for (int i = 0; i < DAMAGED; i++) {
      boolean numbers = i % 2 == 0;
      Files.write(file, numbers ? new Mutator(SEED + i).mutate(tensors) : tensors);
      Files.write(json, numbers ? config : new Mutator(SEED + i).mutate(config));
      try {
        WeightDecoder.decode(file, QuantizationConfig.read(json), LAYER, out);
      } catch (BadInputException e) {
        refused++;
        String message = e.getMessage();
        assertTrue(message.startsWith(folder.toString()) && !message.contains("\n"), name + ", seed " + (SEED + i) + ": " + message);
      }
    }
    assertTrue(refused > DAMAGED / 10, name + ": " + refused + " of " + DAMAGED);
  }

  /** The sizes and names of Qwen2.5-VL-7B-Instruct-AWQ and of its FP8 twin: language model quantised, tower and head as they were. */
  @ParameterizedTest
  @CsvSource({"QWEN_VL,awq,'int4, awq, groups of 128',6.68", "QWEN_VL,ct-fp8-channel,'fp8 (E4M3), a scale per output',9.7",
      "QWEN_VL_RESAVED,ct-fp8-channel,'fp8 (E4M3), a scale per output',9.7"})
  void quantisedModelsOfRealSizesAreRecognised(NamingScheme scheme, String name, String format, double bits) throws IOException {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    ReleasedModel.VL_7B.tensors().forEach((tensor, dense) -> {
      String layer = tensor.substring(0, tensor.lastIndexOf('.'));
      boolean matrix = tensor.startsWith("layers.") && dense.shape().length == 2;
      long out = dense.shape()[0];
      if (!matrix) {
        tensors.put(tensor, dense);
      } else if (name.equals("awq")) {
        long in = dense.shape()[1];
        tensors.put(layer + ".qweight", new Tensor(TensorType.I32, new long[] {in, out / 8}, null));
        tensors.put(layer + ".qzeros", new Tensor(TensorType.I32, new long[] {in / 128, out / 8}, null));
        tensors.put(layer + ".scales", new Tensor(TensorType.F16, new long[] {in / 128, out}, null));
      } else {
        tensors.put(layer + ".weight", new Tensor(TensorType.F8_E4M3, dense.shape(), null));
        tensors.put(layer + ".weight_scale", new Tensor(TensorType.BF16, new long[] {out, 1}, null));
      }
    });
    ReleasedModel.VL_7B.write(folder, scheme, 3, tensors);
    ObjectNode model = (ObjectNode) JSON.readTree(folder.resolve("config.json").toFile());
    model.put("model_type", "qwen2_5_vl").remove("bd3lm_block_size");
    ObjectNode quantization = config(name);
    if (name.equals("awq")) {
      quantization.put("group_size", 128).putArray("modules_to_not_convert").add("visual");
    }
    Files.writeString(folder.resolve("config.json"), model.set("quantization_config", quantization).toString());
    Inspection found = Inspection.of(folder);
    assertTrue(found.complete(), found.missing() + " " + found.misshaped());
    assertEquals(List.of(), found.unexpected());
    assertEquals(ReleasedModel.VL_7B.parameters(), found.parameters());
    assertEquals(Map.of(format, 28 * 7), found.formats());
    assertEquals(bits, found.bitsPerWeight(), 0.05);
    assertEquals(found.bytes(), tensors.values().stream().mapToLong(Tensor::bytes).sum());

    tensors.remove("layers.3.mlp.down_proj." + (name.equals("awq") ? "scales" : "weight_scale"));
    TestCheckpoints.writeWeights(folder, tensors, scheme, 3);
    assertEquals(Set.of(scheme.nameInFile("layers.3.mlp.down_proj.weight")), Inspection.of(folder).misshaped().keySet());
  }
}
