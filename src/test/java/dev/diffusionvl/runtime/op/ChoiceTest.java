// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.SamplingOracle;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** confidence and sample: tokens exact, probabilities close. */
class ChoiceTest extends OpTest {
  private void checkConfidence(DType dtype, float[] logits, int rows, int excluded) {
    checkConfidence(dtype, logits, rows, excluded, null);
  }

  private void checkConfidence(DType dtype, float[] logits, int rows, int excluded, boolean[] legal) {
    int vocab = logits.length / rows;
    DeviceBuffer token = empty(DType.I32, rows);
    DeviceBuffer probability = empty(DType.F32, rows);
    DeviceBuffer max = empty(DType.F32, rows);
    DeviceBuffer sum = empty(DType.F32, rows);
    kernels.confidence.launch(stream, buffer(dtype, logits), new Predictions(token, probability, max, sum), rows, vocab, excluded,
        legal == null ? null : legal(legal, rows));
    int[] tokens = token.getInts(stream);
    float[] probabilities = probability.getFloats(stream);
    for (int r = 0; r < rows; r++) {
      SamplingOracle.Choice expected = SamplingOracle.mostLikely(SamplingOracle.restricted(
          Arrays.copyOfRange(logits, r * vocab, (r + 1) * vocab), legal, r), excluded);
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
  void confidenceAmongLegalTokens() {
    for (DType dtype : FLOATS) {
      for (int vocab : new int[] {1, 31, 32, 33, 127, 128, 129, 1000, 5003}) {
        for (int each : new int[] {1, 2, 40, 1 << 20}) {
          checkConfidence(dtype, normal(dtype, 3 * vocab, 3), 3, vocab > 2 ? vocab / 2 : -1, randomLegal(3, vocab, each));
        }
      }
    }
    float[] logits = normal(DType.F32, 2 * 300, 1);
    logits[299] = Float.NaN;
    logits[300 + 7] = Float.NaN;
    boolean[] legal = new boolean[2 * 300];
    legal[5] = true; // row 0: the NaN is not legal
    legal[300 + 7] = true; // row 1: it is
    checkConfidence(DType.F32, logits, 2, -1, legal);
    checkConfidence(DType.F32, logits, 2, 5, legal); // row 0: nothing is left
  }

  @Test
  void sampleAmongLegalTokens() {
    for (DType dtype : FLOATS) {
      for (int vocab : few() ? new int[] {33, 601} : new int[] {1, 33, 256, 3001}) {
        for (int topK : few() ? new int[] {0, 10} : new int[] {0, 1, 10}) {
          for (float topP : new float[] {1f, 0.6f}) {
            for (int each : few() ? new int[] {2} : new int[] {2, 1 << 20}) {
              checkSample(dtype, normal(dtype, 4 * vocab, 3), 4, -1, 0.7f, topK, topP, randomLegal(4, vocab, each));
            }
          }
        }
      }
    }
  }

  @Test
  void sampleWithGivenUniforms() {
    for (DType dtype : MOST) {
      for (int vocab : few() ? new int[] {1, 5, 601} : new int[] {1, 5, 256, 1024, 3001}) {
        for (float temperature : few() ? new float[] {1f, 0.7f} : new float[] {1f, 0.7f, 2.5f}) {
          for (int topK : few() ? new int[] {0, 10} : new int[] {0, 1, 10, 5000}) {
            for (float topP : few() ? new float[] {1f, 0.6f} : new float[] {1f, 0.9f, 0.3f}) {
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
    checkSample(dtype, logits, rows, excluded, temperature, topK, topP, null);
  }

  private void checkSample(DType dtype, float[] logits, int rows, int excluded, float temperature, int topK, float topP, boolean[] legal) {
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
      sample(buffer(dtype, logits), rows, vocab, new Sample.Rule(temperature, topK, topP, excluded, 0, true), 0, u, original,
          new Predictions(token, probability), legal == null ? null : legal(legal, rows));
      int[] tokens = token.getInts(stream);
      float[] probabilities = probability.getFloats(stream);
      for (int r = 0; r < rows; r++) {
        float[] all = Arrays.copyOfRange(logits, r * vocab, (r + 1) * vocab);
        float[] row = SamplingOracle.restricted(all, legal, r);
        SamplingOracle.Choice drawn = SamplingOracle.sample(row, excluded, temperature, topK, topP, uniforms[r], original);
        SamplingOracle.Choice expected = original ? new SamplingOracle.Choice(drawn.token(), SamplingOracle.original(all, drawn.token()))
            : drawn;
        String what = "sample %s vocab %d T %s k %d p %s u %s row %d, seed %d".formatted(dtype, vocab, temperature, topK, topP, uniforms[r],
            r, seed);
        if (expected.token() != tokens[r]) {
          // The kernel adds f32 exponentials: at a border of the distribution it may stand one kept id beside.
          double slack = 1e-5;
          SamplingOracle.Choice below = SamplingOracle.sample(row, excluded, temperature, topK, topP, Math.max(0, uniforms[r] - slack),
              original);
          SamplingOracle.Choice above = SamplingOracle.sample(row, excluded, temperature, topK, topP, Math.min(1 - 1e-9, uniforms[r]
              + slack),
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
    int rows = few() ? 32 : 512;
    int vocab = 4;
    float[] logits = new float[rows * vocab];
    DeviceBuffer buffer = buffer(DType.F32, logits);
    int[] counts = new int[vocab];
    int[] first = null;
    for (int forward = 0; forward < 8; forward++) {
      int[] tokens = null;
      for (int repeat = 0; repeat < 2; repeat++) {
        DeviceBuffer token = empty(DType.I32, rows);
        sample(buffer, rows, vocab, new Sample.Rule(1f, 0, 1f, -1, 42, false), forward, null, false,
            new Predictions(token, empty(DType.F32, rows)));
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
      int expected = 8 * rows / vocab;
      assertTrue(Math.abs(count - expected) < 5 * Math.sqrt(0.75 * expected), "counts " + Arrays.toString(counts)); // 5 standard deviations
    }
  }

  /** Sequences of one launch: each by its own rule, numbers and count of passes, as if it were alone; what no task names stays. */
  @Test
  void blocksOfManySequencesAreDrawnAsAlone() {
    int vocab = 50;
    int rows = 8;
    Sample.Rule[] rules = {new Sample.Rule(1f, 0, 1f, -1, 42, false), new Sample.Rule(0.7f, 5, 1f, 3, 43L << 32, false),
        new Sample.Rule(2f, 0, 0.6f, -1, 0, true), new Sample.Rule(1f, 0, 1f, -1, 42, false)};
    double[] given = random.doubles((long) rules.length * rows).toArray();
    DeviceBuffer uniforms = own(device.allocate("uniforms", DType.F64, given.length));
    uniforms.set(stream, given);
    for (DType dtype : MOST) {
      float[] logits = normal(dtype, rules.length * rows * vocab, 2);
      DeviceBuffer all = buffer(dtype, logits);
      int[] words = IntStream.range(0, rules.length).flatMap(i -> {
        int[] slot = Blocks.masked(rows, new Remask.Rule(false, 0, rows, 1, 0), rules[i], -7);
        slot[Blocks.FORWARDS] = 5 + i;
        return IntStream.of(slot);
      }).toArray();
      int[] order = {2, 0, 3, 1}; // task i is that of slot order[i]
      int first = rows; // of the logits: the predictions before are somebody else's
      int predicted = first + rules.length * rows;
      int[] tasks = IntStream.range(0, rules.length).flatMap(i -> IntStream.of(order[i], first + i * rows, 1, 0)).toArray();
      DeviceBuffer token = ints(IntStream.range(0, predicted).map(i -> -9).toArray());
      DeviceBuffer probability = empty(DType.F32, predicted);
      kernels.sample.launch(stream, own(new SampleWorkspace(stream, rules.length * rows)), all, vocab, new Predictions(token, probability),
          first, predicted, new Blocks(ints(words), rules.length, rows, 1), ints(tasks), rules.length, uniforms, false);
      for (int i = 0; i < rules.length; i++) {
        DeviceBuffer aloneToken = empty(DType.I32, rows);
        DeviceBuffer aloneProbability = empty(DType.F32, rows);
        sample(all.slice((long) i * rows * vocab, rows, vocab), rows, vocab, rules[order[i]], 5 + order[i],
            uniforms.slice((long) order[i] * rows, rows), false, new Predictions(aloneToken, aloneProbability));
        int from = first + i * rows;
        assertArrayEquals(aloneToken.getInts(stream), Arrays.copyOfRange(token.getInts(stream), from, from + rows), "tokens of task " + i);
        assertArrayEquals(aloneProbability.getFloats(stream), Arrays.copyOfRange(probability.getFloats(stream), from, from + rows));
      }
      assertTrue(Arrays.stream(token.getInts(stream), 0, first).allMatch(t -> t == -9), "rows of no task");
    }
  }

  @Test
  void sampleReportsNaN() {
    float[] logits = normal(DType.F32, 300, 1);
    logits[299] = Float.NaN;
    DeviceBuffer probability = empty(DType.F32, 1);
    sample(buffer(DType.F32, logits), 1, 300, new Sample.Rule(1f, 0, 1f, -1, 1, false), 0, null, false,
        new Predictions(empty(DType.I32, 1), probability));
    assertTrue(Float.isNaN(probability.getFloats(stream)[0]));
  }
}
