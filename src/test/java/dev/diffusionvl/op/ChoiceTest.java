// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.SamplingOracle;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** confidence, sample and remask: tokens exact, probabilities close. */
class ChoiceTest extends OpTest {
  private void checkConfidence(DType dtype, float[] logits, int rows, int excluded) {
    int vocab = logits.length / rows;
    DeviceBuffer token = empty(DType.I32, rows);
    DeviceBuffer probability = empty(DType.F32, rows);
    DeviceBuffer max = empty(DType.F32, rows);
    DeviceBuffer sum = empty(DType.F32, rows);
    kernels.confidence().launch(stream, buffer(dtype, logits), token, probability, max, sum, rows, vocab, excluded);
    int[] tokens = token.getInts(stream);
    float[] probabilities = probability.getFloats(stream);
    for (int r = 0; r < rows; r++) {
      SamplingOracle.Choice expected = SamplingOracle.mostLikely(Arrays.copyOfRange(logits, r * vocab, (r + 1) * vocab), excluded);
      String what = "confidence " + dtype + " row " + r + " of vocab " + vocab + ", seed " + seed;
      if (Double.isNaN(expected.probability())) {
        assertTrue(Float.isNaN(probabilities[r]), what);
      } else {
        assertEquals(expected.token(), tokens[r], what);
        assertEquals(expected.probability(), probabilities[r], 2e-6 * expected.probability() + 1e-9, what);
        assertEquals(logits[r * vocab + tokens[r]], max.getFloats(stream)[r], 0f, what);
      }
    }
  }

  @Test
  void confidenceOverOddVocabularies() {
    for (DType dtype : FLOATS) {
      for (int vocab : new int[] {1, 2, 7, 8, 255, 1024, 2049, 5003}) {
        for (double scale : new double[] {0.01, 3, 40}) {
          checkConfidence(dtype, normal(dtype, 3 * vocab, scale), 3, -1);
          checkConfidence(dtype, normal(dtype, 3 * vocab, scale), 3, vocab > 2 ? vocab / 2 : -1);
        }
      }
    }
  }

  @Test
  void confidenceTiesGoToTheLowestId() {
    for (int vocab : new int[] {16, 3000}) {
      float[] logits = new float[4 * vocab];
      logits[vocab + vocab - 1] = 5;
      logits[vocab + 9] = 5; // row 1: two maxima
      Arrays.fill(logits, 2 * vocab, 3 * vocab, Float.NEGATIVE_INFINITY);
      logits[2 * vocab + 11] = -3; // row 2: one finite logit
      Arrays.fill(logits, 3 * vocab, 4 * vocab, Float.NEGATIVE_INFINITY); // row 3: none
      checkConfidence(DType.F32, logits, 4, -1);
      checkConfidence(DType.BF16, logits, 4, 9);
    }
  }

  @Test
  void confidenceReportsNaNWhereverItStands() {
    for (int at : new int[] {0, 1, 700, 998, 999}) {
      float[] logits = normal(DType.F32, 1000, 1);
      logits[at] = Float.NaN;
      checkConfidence(DType.F32, logits, 1, -1);
      checkConfidence(DType.BF16, logits, 1, -1);
    }
  }

  @Test
  void sampleWithGivenUniforms() {
    for (DType dtype : FLOATS) {
      for (int vocab : new int[] {1, 5, 256, 1024, 3001}) {
        for (float temperature : new float[] {1f, 0.7f, 2.5f}) {
          for (int topK : new int[] {0, 1, 10, 5000}) {
            for (float topP : new float[] {1f, 0.9f, 0.3f}) {
              checkSample(dtype, normal(dtype, 4 * vocab, 3), 4, vocab > 4 ? 3 : -1, temperature, topK, topP);
            }
          }
        }
      }
    }
  }

  @Test
  void sampleWithTies() {
    float[] logits = new float[2 * 600];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = random.nextInt(4); // masses of ties at every border
    }
    for (int topK : new int[] {0, 3, 200}) {
      for (float topP : new float[] {1f, 0.75f, 0.5f, 0.01f}) {
        checkSample(DType.F32, logits, 2, -1, 1f, topK, topP);
        checkSample(DType.BF16, logits, 2, 5, 0.5f, topK, topP);
      }
    }
  }

  private void checkSample(DType dtype, float[] logits, int rows, int excluded, float temperature, int topK, float topP) {
    int vocab = logits.length / rows;
    double[] uniforms = new double[rows];
    for (int r = 0; r < rows; r++) {
      uniforms[r] = r == 0 ? 0 : r == 1 ? 1 - 0x1p-53 : random.nextDouble();
    }
    DeviceBuffer u = own(device.allocate("uniforms", DType.F64, rows));
    u.set(stream, uniforms);
    for (boolean original : new boolean[] {false, true}) {
      DeviceBuffer token = empty(DType.I32, rows);
      DeviceBuffer probability = empty(DType.F32, rows);
      kernels.sample().launch(stream, buffer(dtype, logits), u, token, probability, rows, vocab, excluded, temperature, topK, topP, original, 0,
          0);
      int[] tokens = token.getInts(stream);
      float[] probabilities = probability.getFloats(stream);
      for (int r = 0; r < rows; r++) {
        float[] row = Arrays.copyOfRange(logits, r * vocab, (r + 1) * vocab);
        SamplingOracle.Choice expected = SamplingOracle.sample(row, excluded, temperature, topK, topP, uniforms[r], original);
        String what = "sample %s vocab %d T %s k %d p %s u %s row %d, seed %d".formatted(dtype, vocab, temperature, topK, topP, uniforms[r],
            r, seed);
        if (expected.token() != tokens[r]) {
          // The kernel adds f32 exponentials: at a border of the distribution it may stand one kept id beside.
          double slack = 1e-5;
          SamplingOracle.Choice below = SamplingOracle.sample(row, excluded, temperature, topK, topP, Math.max(0, uniforms[r] - slack), original);
          SamplingOracle.Choice above = SamplingOracle.sample(row, excluded, temperature, topK, topP, Math.min(1 - 1e-9, uniforms[r] + slack),
              original);
          assertTrue(tokens[r] == below.token() || tokens[r] == above.token(), what + ": " + tokens[r] + " for " + expected.token());
        } else {
          assertEquals(expected.probability(), probabilities[r], 1e-5 * expected.probability() + 1e-9, what);
        }
      }
    }
  }

  @Test
  void theCounterGeneratorIsUniformAndRepeatable() {
    int rows = 512;
    int vocab = 4;
    float[] logits = new float[rows * vocab];
    DeviceBuffer buffer = buffer(DType.F32, logits);
    int[] counts = new int[vocab];
    int[] first = null;
    for (int forward = 0; forward < 8; forward++) {
      int[] tokens = null;
      for (int repeat = 0; repeat < 2; repeat++) {
        DeviceBuffer token = empty(DType.I32, rows);
        kernels.sample().launch(stream, buffer, null, token, empty(DType.F32, rows), rows, vocab, -1, 1f, 0, 1f, false, 42, forward);
        int[] again = token.getInts(stream);
        if (tokens != null) {
          assertArrayEquals(tokens, again, "same seed, forward and row: same token");
        }
        tokens = again;
      }
      assertTrue(first == null || !Arrays.equals(first, tokens), "another forward draws other numbers");
      first = first == null ? tokens : first;
      Arrays.stream(tokens).forEach(t -> counts[t]++);
    }
    for (int count : counts) {
      assertTrue(Math.abs(count - 1024) < 140, "counts " + Arrays.toString(counts)); // 5 standard deviations
    }
  }

  @Test
  void sampleReportsNaN() {
    float[] logits = normal(DType.F32, 300, 1);
    logits[299] = Float.NaN;
    DeviceBuffer probability = empty(DType.F32, 1);
    kernels.sample().launch(stream, buffer(DType.F32, logits), null, empty(DType.I32, 1), probability, 1, 300, -1, 1f, 0, 1f, false, 1, 0);
    assertTrue(Float.isNaN(probability.getFloats(stream)[0]));
  }

  @Test
  void remaskCommitsByTheBook() {
    for (int rows : new int[] {1, 3, 8, 16, 64, 257, 700}) {
      for (int quota : new int[] {0, 1, 2, 7, 1000}) {
        for (boolean dynamic : new boolean[] {false, true}) {
          for (double share : new double[] {0, 0.5, 1}) {
            checkRemask(rows, quota, dynamic, share);
          }
        }
      }
    }
  }

  private void checkRemask(int rows, int quota, boolean dynamic, double share) {
    int maskId = 99;
    float[] probability = new float[rows];
    int[] masked = new int[rows];
    int[] token = new int[rows];
    int[] ids = new int[rows];
    for (int i = 0; i < rows; i++) {
      probability[i] = random.nextInt(8) / 8f; // many ties, some exactly at the threshold
      masked[i] = random.nextDouble() < share ? 1 : 0;
      token[i] = random.nextInt(10) == 0 ? maskId : random.nextInt(50);
      ids[i] = masked[i] != 0 ? maskId : 1000 + i;
    }
    DeviceBuffer deviceIds = ints(ids);
    DeviceBuffer deviceMasked = ints(masked);
    DeviceBuffer committed = empty(DType.I32, rows);
    DeviceBuffer status = empty(DType.I32, 3);
    kernels.remask().launch(stream, ints(token), buffer(DType.F32, probability), deviceIds, deviceMasked, committed, status, rows, quota, dynamic,
        0.5f, maskId);
    boolean[] take = SamplingOracle.committed(probability, masked, quota, dynamic, 0.5f);
    int taken = 0;
    int left = 0;
    int[] expectedIds = ids.clone();
    int[] expectedMasked = masked.clone();
    int[] expectedCommitted = new int[rows];
    for (int i = 0; i < rows; i++) {
      if (take[i]) {
        taken++;
        expectedIds[i] = token[i];
        expectedMasked[i] = token[i] == maskId ? 1 : 0;
        expectedCommitted[i] = 1;
      }
      left += expectedMasked[i];
    }
    String what = "remask rows %d quota %d dynamic %s share %s, seed %d".formatted(rows, quota, dynamic, share, seed);
    assertArrayEquals(expectedIds, deviceIds.getInts(stream), what);
    assertArrayEquals(expectedMasked, deviceMasked.getInts(stream), what);
    assertArrayEquals(expectedCommitted, committed.getInts(stream), what);
    assertArrayEquals(new int[] {taken, left, 0}, status.getInts(stream), what);
  }

  @Test
  void remaskStopsAtNaNOfAMaskedRowOnly() {
    float[] probability = {0.5f, Float.NaN, 0.7f};
    for (int open = 0; open < 2; open++) {
      DeviceBuffer ids = ints(9, 9, 9);
      DeviceBuffer status = empty(DType.I32, 3);
      kernels.remask().launch(stream, ints(1, 2, 3), buffer(DType.F32, probability), ids, ints(1, open, 1), empty(DType.I32, 3), status, 3, 1,
          false, 0f, 9);
      assertArrayEquals(open == 1 ? new int[] {9, 9, 9} : new int[] {9, 9, 3}, ids.getInts(stream));
      assertEquals(open, status.getInts(stream)[2]);
    }
  }
}
