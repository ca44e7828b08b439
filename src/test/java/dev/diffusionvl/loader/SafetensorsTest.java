// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.model.GoldenCase;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class SafetensorsTest {
  @TempDir
  private Path folder;

  static List<GoldenCase> goldenCases() {
    return GoldenCase.all();
  }

  /** The golden files were written by the format's own implementation. */
  @ParameterizedTest
  @MethodSource("goldenCases")
  void filesOfAnotherImplementationAreRead(GoldenCase golden) throws IOException {
    try (Safetensors file = Safetensors.open(golden.folder().resolve("tensors.safetensors"))) {
      assertTrue(file.names().contains("first_step_logits"));
      for (String name : file.names()) {
        assertArrayEquals(golden.tensor(name), TestCheckpoints.floats(file.tensor(name)), name);
      }
    }
  }

  @Test
  void weightTypesConvertExactly() {
    float[] values = {0, -0f, 1, -1.5f, 0.1f, 65504, 6e-8f, Float.POSITIVE_INFINITY, Float.NaN};
    ByteBuffer f32 = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    ByteBuffer f16 = ByteBuffer.allocate(2 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    ByteBuffer bf16 = ByteBuffer.allocate(2 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    float[] halves = new float[values.length];
    float[] truncated = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      f32.putFloat(values[i]);
      f16.putShort(Float.floatToFloat16(values[i]));
      halves[i] = Float.float16ToFloat(Float.floatToFloat16(values[i]));
      bf16.putShort((short) (Float.floatToRawIntBits(values[i]) >>> 16));
      truncated[i] = Float.intBitsToFloat(Float.floatToRawIntBits(values[i]) & 0xffff0000);
    }
    long[] shape = {values.length};
    // the name's length shifts the data to an odd address
    Path file = folder.resolve("types.safetensors");
    TestCheckpoints.write(file, Map.of(
        "a", new TestCheckpoints.Tensor(TensorType.F32, shape, f32.array()),
        "bb", new TestCheckpoints.Tensor(TensorType.F16, shape, f16.array()),
        "ccc", new TestCheckpoints.Tensor(TensorType.BF16, shape, bf16.array()),
        "odd", new TestCheckpoints.Tensor(TensorType.U8, new long[] {3}, new byte[3])));
    try (Safetensors tensors = Safetensors.open(file)) {
      assertArrayEquals(values, TestCheckpoints.floats(tensors.tensor("a")));
      assertArrayEquals(halves, TestCheckpoints.floats(tensors.tensor("bb")));
      assertArrayEquals(truncated, TestCheckpoints.floats(tensors.tensor("ccc")));
      assertThrows(IllegalStateException.class, () -> TestCheckpoints.floats(tensors.tensor("odd")));
      assertThrows(BadInputException.class, () -> tensors.tensor("other"));
    }
  }

  @Test
  void headersAloneGiveNoData() throws IOException {
    Path file = write("{\"x\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]}}", 8);
    try (Safetensors header = Safetensors.openHeader(file)) {
      TensorView x = header.tensor("x");
      assertNull(x.data());
      assertEquals(2, x.elements());
      assertArrayEquals(new long[] {2, 1}, x.shape());
      assertThrows(IllegalStateException.class, () -> TestCheckpoints.floats(x));
    }
  }

  @Test
  void closedFilesRefuseAccess() throws IOException {
    Safetensors file = Safetensors.open(write("{\"x\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4));
    TensorView x = file.tensor("x");
    assertEquals(0, x.floatAt(0));
    file.close();
    file.close();
    assertThrows(IllegalStateException.class, () -> x.floatAt(0));
  }

  @Test
  void emptyTensorsAndUnknownFieldsAreFine() throws IOException {
    Path file = write("""
        {"__metadata__":{"a":"b"},
        "e":{"shape":[0,9223372036854775807,3],"dtype":"BF16","data_offsets":[0,0],"more":{"x":[1]}},
        "b":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}  \s""", 1);
    try (Safetensors tensors = Safetensors.open(file)) {
      assertEquals(0, tensors.tensor("e").elements());
      assertEquals(List.of("e", "b"), List.copyOf(tensors.names()));
    }
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
      4611686018427387904   | {}  | exceeds the limit
      -1                    | {}  | exceeds the limit
      100000001             | {}  | exceeds the limit
      3                     | {}  | truncated
      0                     | ``  | not a JSON object
      """)
  void headerLengthsAreNotTrusted(long length, String json, String problem) throws IOException {
    byte[] text = json.getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes = ByteBuffer.allocate(8 + text.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(length).put(text);
    refused(Files.write(folder.resolve("length.safetensors"), bytes.array()), problem);
  }

  /** The file holds 8 bytes of data. */
  @ParameterizedTest
  @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
      []                                                                           | not a JSON object
      {"a":                                                                        | not valid JSON
      {} {}                                                                        | follows the value
      {"a":1}                                                                      | a: expected an object
      {"a":{"shape":[8],"data_offsets":[0,8]}}                                     | a: dtype is missing
      {"a":{"dtype":"U8","data_offsets":[0,8]}}                                    | a: shape is missing
      {"a":{"dtype":"U8","shape":[8]}}                                             | a: data_offsets is missing
      {"a":{"dtype":"Q4","shape":[8],"data_offsets":[0,8]}}                        | a: unknown dtype 'Q4'
      {"a":{"dtype":7,"shape":[8],"data_offsets":[0,8]}}                           | a.dtype: expected a string
      {"a":{"dtype":"U8","shape":[-8],"data_offsets":[0,8]}}                       | a.shape: -8 is negative
      {"a":{"dtype":"U8","shape":[8.5],"data_offsets":[0,8]}}                      | a.shape: expected integers
      {"a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,8]}}      | a.shape: 9223372036854775808
      {"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}   | overflows
      {"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}}     | overflows
      {"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,8],"data_offsets":[0,8]}} | more than 16
      {"a":{"dtype":"U8","shape":[8],"data_offsets":[8,0]}}                        | no [begin, end]
      {"a":{"dtype":"U8","shape":[8],"data_offsets":[0,4,8]}}                      | no [begin, end]
      {"a":{"dtype":"U8","shape":[8],"data_offsets":[-8,0]}}                       | a.data_offsets: -8
      {"a":{"dtype":"F32","shape":[8],"data_offsets":[0,8]}}                       | needs 32 bytes, data_offsets give 8
      {"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}                        | a: ends at byte 9
      {"a":{"dtype":"U8","shape":[4],"data_offsets":[9223372036854775803,9223372036854775807]}} | a: ends at byte
      {"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}|overlaps
      {"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}                        | 4 bytes before it belong to no
      {"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}                        | 4 bytes after the last tensor
      {"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}|uplicate
      {"__metadata__":[],"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}      | __metadata__: expected an object
      {"__metadata__":{"x":1},"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}} | __metadata__: expected strings
      """)
  void brokenHeadersAreRefused(String header, String problem) throws IOException {
    refused(write(header, 8), problem);
  }

  @Test
  void deepNestingAndWrongEncodingsAreRefused() throws IOException {
    refused(write("{\"a\":" + "[".repeat(100_000), 0), "");
    refused(writeBytes("{\"a\":1}".getBytes(StandardCharsets.UTF_16LE), 0), "not UTF-8");
    refused(writeBytes(new byte[] {'{', '"', (byte) 0xc3, '"', ':', '1', '}'}, 0), "not valid JSON");
  }

  @Test
  void filesCutAnywhereAreRefused() throws IOException {
    byte[] whole = Files.readAllBytes(
        write("{\"a\":{\"dtype\":\"U8\",\"shape\":[16],\"data_offsets\":[0,16]}}", 16));
    Path cut = folder.resolve("cut.safetensors");
    for (int length = 0; length < whole.length; length++) {
      refused(Files.write(cut, Arrays.copyOf(whole, length)), "");
    }
    refused(Files.write(cut, Arrays.copyOf(whole, whole.length + 1)), "1 bytes after");
  }

  @Test
  void pathsThatAreNoFilesAreRefused() {
    refused(folder.resolve("none.safetensors"), "no such file");
    refused(folder, "a directory");
    refused(Path.of("/dev/null"), "not a regular file");
  }

  /** Names go into messages, so they must not break lines or terminals. */
  @Test
  void messagesStayOnOneLine() throws IOException {
    Path file = write("{\"a\\n\\u001b[31m" + "x".repeat(5000) + "\":{}}", 0);
    String message = refused(file, "");
    assertTrue(message.length() <= 1000 && message.chars().allMatch(c -> c >= ' '), message);
  }

  private String refused(Path file, String problem) {
    BadInputException open = assertThrows(BadInputException.class, () -> Safetensors.open(file));
    BadInputException header = assertThrows(BadInputException.class, () -> Safetensors.openHeader(file));
    assertEquals(open.getMessage(), header.getMessage());
    assertTrue(open.getMessage().startsWith(file.toString()), open.getMessage());
    assertTrue(open.getMessage().contains(problem), open.getMessage());
    assertEquals(1, open.getMessage().lines().count());
    return open.getMessage();
  }

  private Path write(String header, int dataBytes) throws IOException {
    return writeBytes(header.getBytes(StandardCharsets.UTF_8), dataBytes);
  }

  private Path writeBytes(byte[] header, int dataBytes) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(header.length).array());
    out.write(header);
    out.write(new byte[dataBytes]);
    return Files.write(folder.resolve("file.safetensors"), out.toByteArray());
  }
}
