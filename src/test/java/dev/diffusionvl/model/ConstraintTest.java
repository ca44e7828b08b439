// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.model.GenerationOptions.Remasking;
import dev.diffusionvl.model.constraint.Constraint;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Answers of the demo model under constraints: in every decoding, alone and in company. */
class ConstraintTest extends DemoModelTest {
  private static final Request QUESTION = Request.of("Describe this image.");
  private static final int DRAWS = 30;
  private static final String RECEIPT = """
      {"type":"object","properties":{"shape":{"enum":["square","circle","cross"]},"count":{"type":"integer","minimum":0,"maximum":20},
      "colours":{"type":"array","items":{"type":"string","maxLength":8},"maxItems":2},"large":{"type":"boolean"}},
      "required":["shape","count","colours"]}""";

  private static void check(GenerationResult result, Constraint constraint, String what) {
    boolean ended = result.finishReason().equals("eos");
    assertTrue(ended ? constraint.allows(result.text()) : result.finishReason().equals("length") && constraint.allowsPrefix(result.text()),
        () -> what + ": " + result.finishReason() + " " + result.text());
  }

  private static List<GenerationOptions> decodings() {
    List<GenerationOptions> all = new ArrayList<>();
    GenerationOptions base = GenerationOptions.DEFAULTS.withGenLength(40);
    for (float temperature : new float[] {0, 1.3f}) {
      GenerationOptions sampled = base.withSampling(temperature, 0, 1).withSeed(5);
      all.add(sampled);
      all.add(sampled.withSteps(2));
      all.add(sampled.withSteps(1).withBlockSize(16));
      all.add(sampled.withRemasking(Remasking.LOW_CONFIDENCE_DYNAMIC, 0.3f));
      all.add(sampled.withRemasking(Remasking.LOW_CONFIDENCE_DYNAMIC, 0.001f).withSteps(3));
      all.add(sampled.withDecoding(new Decoding.Full(0, 6, Remasking.LOW_CONFIDENCE_STATIC, 0)));
      all.add(sampled.withExecution(new Execution(false, false, 3)));
      all.add(sampled.withDecoding(new Decoding.Autoregressive()));
    }
    return all;
  }

  @Test
  void everyDecodingKeepsToTheConstraint() {
    List<Constraint> constraints = List.of(Constraint.jsonSchema(RECEIPT), Constraint.regex("[A-Z][a-z]{2,5}( [a-z]+){3}\\."),
        Constraint.choices("yes", "no", "maybe not"), Constraint.jsonObject());
    for (DiffusionVl model : List.of(f32, bf16)) {
      try (Session session = model.newSession()) {
        int turn = model == f32 ? 0 : 2; // each decoding with two of them per type
        for (GenerationOptions options : decodings()) {
          for (int i = 0; i < 2; i++) {
            Constraint constraint = constraints.get(turn++ % constraints.size());
            GenerationResult result = session.generate(QUESTION, options.withConstraint(constraint));
            check(result, constraint, options + " " + model.dtype());
            assertEquals("eos", result.finishReason(), "there is room for an answer: " + result.text());
          }
        }
      }
    }
  }

  @Test
  void whatHasNoRoomIsCut() {
    Constraint constraint = Constraint.jsonSchema(RECEIPT);
    try (Session session = f32.newSession()) {
      for (int length : new int[] {0, 1, 2, 7, 9}) {
        GenerationResult result = session.generate(QUESTION, GenerationOptions.DEFAULTS.withGenLength(length).withConstraint(constraint));
        assertEquals("length", result.finishReason());
        check(result, constraint, length + " tokens");
      }
    }
  }

  /** The tokens of a constrained answer do not depend on its company, and others' not on it. */
  @Test
  void companyChangesNothing() {
    Constraint schema = Constraint.jsonSchema(RECEIPT);
    List<GenerationOptions> all = new ArrayList<>();
    for (float temperature : new float[] {0, 0.8f}) {
      GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(24).withSampling(temperature, 20, 0.95f).withSeed(3);
      all.add(options);
      all.add(options.withConstraint(schema));
      all.add(options.withConstraint(Constraint.choices("left", "right")).withRemasking(Remasking.LOW_CONFIDENCE_DYNAMIC, 0.4f));
      all.add(options.withConstraint(Constraint.regex("\\d{3}")).withSteps(3));
    }
    List<int[]> alone = new ArrayList<>();
    try (Session session = f32.newSession()) {
      all.forEach(options -> alone.add(session.generate(QUESTION, options).tokenIds()));
    }
    try (Engine engine = f32.newEngine(EngineOptions.DEFAULTS.withSlots(3))) {
      List<Generation> generations = all.stream().map(options -> engine.submit(QUESTION, options, GenerationListener.NONE)).toList();
      for (int i = 0; i < all.size(); i++) {
        assertArrayEquals(alone.get(i), generations.get(i).await().tokenIds(), all.get(i).toString());
      }
    }
  }

  @Test
  void singleLegalTokensCostNoStep() {
    GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(32).withSteps(8).withConstraint(Constraint.regex("\\d"));
    try (Session session = f32.newSession()) {
      GenerationResult result = session.generate(QUESTION, options);
      assertTrue(result.text().matches("\\d"));
      assertEquals(1, result.counts().steps(), "the digit; the end of text is the only one that may follow");
    }
  }

  /** The scores of choices against a decoding that takes their tokens one after the other, each from a pass of its own. */
  @Test
  void choicesAreComparedByTheProbabilitiesOfTheirTokens() {
    List<String> texts = List.of("red", "red square", "red square and a very large green circle", "blue", "a");
    GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(40);
    for (DiffusionVl model : List.of(f32, bf16)) {
      for (int block : model == f32 ? new int[] {4, 8, 64} : new int[] {8}) {
        for (String question : block == 8 ? List.of("Which?", "Which of them?") : List.of("What do you see?")) {
          try (Session session = model.newSession()) {
            Request request = Request.of(question);
            GenerationOptions compared = options.withBlockSize(block).withConstraint(Constraint.choices(texts));
            GenerationResult result = session.generate(request, compared);
            GenerationResult.Choice best = result.choices().getFirst();
            for (int i = 0; i < texts.size(); i++) {
              GenerationResult.Choice choice = result.choices().get(i);
              best = choice.logProbability() > best.logProbability() ? choice : best;
              // alone a choice is scored in passes that carry nothing else
              GenerationResult alone = session.generate(request, compared.withConstraint(Constraint.choices(texts.get(i))));
              double score = alone.choices().getFirst().logProbability();
              assertEquals(score, choice.logProbability(), model == f32 ? 1e-3 : 0.3, choice.text());
              double sum = 0;
              for (float log : alone.logProbabilities()) {
                sum += Float.isNaN(log) ? 0 : log;
              }
              assertEquals(score, sum, 1e-4);
            }
            assertEquals(best.text(), result.text());
            assertEquals("eos", result.finishReason());
            assertEquals(1, result.choices().stream().mapToDouble(GenerationResult.Choice::probability).sum(), 1e-9);
          }
        }
      }
    }
  }

  /** The first token's score is what a plain decoding says of it, where that is the token it takes. */
  @Test
  void scoresAreThoseOfTheDecoding() {
    try (Session session = f32.newSession()) {
      GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(24).withSteps(8);
      GenerationResult plain = session.generate(QUESTION, options);
      assertEquals(24, plain.logProbabilities().length);
      GenerationResult one = session.generate(QUESTION, options.withConstraint(Constraint.choices(plain.text())));
      // a token that was the first to be committed, from a block of masks, and is the choice's first as well
      assertTrue(one.logProbabilities()[0] <= 0 && one.choices().getFirst().probability() == 1);
      assertEquals(plain.text(), one.text());
    }
  }

  @Test
  void drawnChoicesFollowTheirProbabilities() {
    Constraint constraint = Constraint.choices("red", "blue", "green");
    int[] counts = new int[3];
    double[] expected = null;
    try (Session session = f32.newSession()) {
      GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(16).withConstraint(constraint);
      GenerationResult greedy = session.generate(QUESTION, options);
      double hot = 1 / 6.0;
      double[] weights = greedy.choices().stream().mapToDouble(c -> Math.exp(c.logProbability() * hot)).toArray();
      double total = Arrays.stream(weights).sum();
      expected = Arrays.stream(weights).map(w -> w / total).toArray();
      for (int seed = 0; seed < DRAWS; seed++) {
        counts[constraint.choices().indexOf(session.generate(QUESTION, options.withSampling(6, 0, 1).withSeed(seed)).text())]++;
      }
    }
    for (int i = 0; i < 3; i++) {
      assertEquals(DRAWS * expected[i], counts[i], 5 * Math.sqrt(DRAWS * expected[i] * (1 - expected[i])) + 1);
    }
  }

  @Test
  void isRefusedWithCompat() {
    GenerationOptions options = GenerationOptions.DEFAULTS.withConstraint(Constraint.choices("a"));
    assertTrue(assertThrows(IllegalArgumentException.class, () -> options.withCompat(true)).getMessage().startsWith("compat is true"));
  }
}
