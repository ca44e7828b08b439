// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Matrices in 8 and 4 bits: rounding, scales, and that the reader, which is held to files of others, gets what was meant. */
class EncodedMatrixTest {
  private static final String LAYER = "layers.0.mlp.down_proj";

  @TempDir private Path folder;

  /** Random weights; rows of zeros, of tiny numbers and with one large one among them. */
  private static float[][] weights(int out, int in) {
    Random random = new Random(11);
    float[][] weights = new float[out][in];
    for (int row = 0; row < out; row++) {
      for (int i = 0; i < in; i++) {
        weights[row][i] = (float) random.nextGaussian() * (row == 1 ? 0 : row == 2 ? 1e-39f : 0.02f);
      }
    }
    weights[0][3] = -9;
    return weights;
  }

  private static EncodedMatrix.Rows rows(float[][] weights) {
    return (row, target) -> System.arraycopy(weights[row], 0, target, 0, target.length);
  }

  private static float[] decoded(EncodedMatrix matrix, float[][] weights) {
    float[] all = new float[weights.length * weights[0].length];
    for (int row = 0; row < weights.length; row++) {
      float[] decoded = new float[weights[row].length];
      matrix.decode(row, weights[row], decoded);
      System.arraycopy(decoded, 0, all, row * decoded.length, decoded.length);
    }
    return all;
  }

  /** Writes the matrix and its configuration, and reads it as any other file's. */
  private float[] readBack(EncodedMatrix matrix, Map<String, Object> config) throws IOException {
    Path file = folder.resolve("matrix.safetensors");
    Path out = folder.resolve("decoded.safetensors");
    SafetensorsWriter.writeFile(file, matrix.tensors());
    Path quantization = Files.write(folder.resolve("quantization.json"), new ObjectMapper().writeValueAsBytes(config));
    WeightDecoder.decode(file, QuantizationConfig.read(quantization), LAYER, out);
    try (Safetensors tensors = Safetensors.open(out)) {
      return TestCheckpoints.floats(tensors.tensor(LAYER + ".weight"));
    }
  }

  @Test
  void eightBitsAreTheNearestNumber() {
    TreeSet<Float> numbers = new TreeSet<>();
    for (int code = 0; code < 256; code++) {
      if ((code & 0x7f) != 0x7f) {
        float value = E4m3.decode((byte) code);
        assertEquals(value + 0f, E4m3.decode(E4m3.encode(value)));
        numbers.add(value + 0f); // one zero
      }
    }
    assertEquals(253, numbers.size());
    Random random = new Random(5);
    for (int i = 0; i < 20_000; i++) {
      float value = (float) (random.nextGaussian() * Math.pow(2, random.nextInt(20) - 11));
      float rounded = E4m3.decode(E4m3.encode(value));
      Float below = numbers.floor(value);
      Float above = numbers.ceiling(value);
      double least = Math.min(below == null ? Double.MAX_VALUE : value - below, above == null ? Double.MAX_VALUE : above - value);
      assertEquals(least, Math.abs((double) rounded - value), value + " became " + rounded);
    }
  }

  /** Half-way between two numbers the one with an even code is taken; beyond the largest there is nothing. */
  @Test
  void tiesAndLargeNumbers() {
    assertEquals(16, E4m3.decode(E4m3.encode(17)));
    assertEquals(20, E4m3.decode(E4m3.encode(19)));
    assertEquals(0, E4m3.decode(E4m3.encode(0x1p-10f)));
    assertEquals(0x1p-8f, E4m3.decode(E4m3.encode(3 * 0x1p-10f)));
    assertEquals(448, E4m3.decode(E4m3.encode(1e30f)));
    assertEquals(-448, E4m3.decode(E4m3.encode(-465)));
  }

  @Test
  void fp8IsReadAsItWasMeant() throws IOException {
    float[][] weights = weights(9, 40);
    EncodedMatrix matrix = EncodedMatrix.fp8(LAYER, 9, 40, rows(weights));
    float[] decoded = decoded(matrix, weights);
    assertArrayEquals(decoded, readBack(matrix, CompressedTensors.fp8(List.of())));
    for (int row = 0; row < 9; row++) {
      float largest = 0;
      for (float weight : weights[row]) {
        largest = Math.max(largest, Math.abs(weight));
      }
      for (int i = 0; i < 40; i++) { // half of an eighth of the number, and the steps of the smallest numbers
        float allowed = Math.max(Math.abs(weights[row][i]) / 16, largest / 448 * 0x1p-10f) * 1.01f + Float.MIN_NORMAL;
        assertEquals(weights[row][i], decoded[row * 40 + i], allowed);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {8, 32, 64})
  void int4IsReadAsItWasMeant(int group) throws IOException {
    float[][] weights = weights(9, 128);
    EncodedMatrix matrix = EncodedMatrix.int4(LAYER, 9, 128, group, rows(weights), null);
    float[] decoded = decoded(matrix, weights);
    assertArrayEquals(decoded, readBack(matrix, CompressedTensors.int4(group, List.of("lm_head"))));
    for (int row = 3; row < 9; row++) { // no worse than scales that take in the largest weight
      double error = 0;
      double plain = 0;
      for (int first = 0; first < 128; first += group) {
        float largest = 0;
        for (int i = first; i < first + group; i++) {
          largest = Math.max(largest, Math.abs(weights[row][i]));
        }
        for (int i = first; i < first + group; i++) {
          error += Math.pow(decoded[row * 128 + i] - weights[row][i], 2);
          plain += Math.pow(Math.rint(weights[row][i] / (largest / 7)) * (largest / 7) - weights[row][i], 2);
        }
      }
      assertTrue(error <= plain * 1.02, row + ": " + error + " " + plain); // scales are bf16
    }
  }

  /** Where the largest weight hardly matters it is cut off, and the others are told apart better. */
  @Test
  void whatMattersDecidesTheScale() {
    float[][] weights = new float[1][32];
    for (int i = 0; i < 32; i++) {
      weights[0][i] = 0.1f + 0.025f * i;
    }
    weights[0][0] = 1.1f;
    float[] importance = new float[32];
    Arrays.fill(importance, 1);
    importance[0] = 0;
    float[] equal = decoded(EncodedMatrix.int4(LAYER, 1, 32, 32, rows(weights), null), weights);
    float[] chosen = decoded(EncodedMatrix.int4(LAYER, 1, 32, 32, rows(weights), importance), weights);
    double errorEqual = 0;
    double errorChosen = 0;
    for (int i = 1; i < 32; i++) {
      errorEqual += Math.pow(equal[i] - weights[0][i], 2);
      errorChosen += Math.pow(chosen[i] - weights[0][i], 2);
    }
    assertTrue(errorChosen < errorEqual, errorChosen + " " + errorEqual);
  }

  @Test
  void groupsMustFit() {
    for (int group : new int[] {12, 48, 256}) {
      assertThrows(IllegalArgumentException.class, () -> EncodedMatrix.int4(LAYER, 1, 128, group, rows(new float[1][128]), null));
    }
  }

  /** The output matrix has one name in all schemes, whatever it is stored in. */
  @Test
  void theOutputMatrixMayBeSmall() {
    for (NamingScheme scheme : NamingScheme.values()) {
      if (scheme != NamingScheme.SIGLIP_TOWER) {
        assertEquals("lm_head.weight_packed", scheme.nameInFile("lm_head.weight_packed"));
        assertEquals("lm_head.weight_packed", scheme.canonical("lm_head.weight_packed", NamingScheme.Part.MAIN));
      }
    }
  }
}
