// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.model.GenerationOptions.Remasking;
import dev.diffusionvl.model.constraint.SchemaSuite;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * Answers of the demo model under the schemas of the official suite and our own: what is finished is valid for an independent validator,
 * what is not is a beginning and says so. Each schema with few of the combinations of rule, temperature and seed, or with all of them
 * ({@code -Ddvl.constrained=all}).
 */
class ConstrainedAnswersTest extends DemoModelTest {
  private static final boolean ALL = System.getProperty("dvl.constrained", "few").equals("all");
  private static final float[] TEMPERATURES = {0, 0.7f, 1.5f};
  private static final int SEEDS = 2;
  private static final int TOKENS = 24;
  private static final Request QUESTION = Request.of("Describe this image.");

  private record Asked(SchemaSuite.Case schema, GenerationOptions options, Generation generation) {}

  private static List<GenerationOptions> combinations() {
    List<GenerationOptions> all = new ArrayList<>();
    for (float temperature : TEMPERATURES) {
      for (int seed = 0; seed < SEEDS; seed++) {
        GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(TOKENS).withSampling(temperature, 0, 1).withSeed(seed);
        all.add(options.withSteps(2 + seed));
        all.add(options.withRemasking(Remasking.LOW_CONFIDENCE_DYNAMIC, seed == 0 ? 0.5f : 0.01f));
      }
    }
    return all;
  }

  @Test
  void everyFinishedAnswerIsValid() {
    List<SchemaSuite.Case> cases = SchemaSuite.all().stream()
        .filter(c -> c.constraint() != null && !c.name().startsWith("ecmascript-regex")).toList();
    List<GenerationOptions> combinations = combinations();
    int finished = 0;
    int asked = 0;
    try (Engine engine = f32.newEngine(EngineOptions.DEFAULTS.withSlots(8).withQueue(32))) {
      for (int from = 0; from < cases.size(); from += 8) {
        List<Asked> open = new ArrayList<>();
        for (int i = from; i < Math.min(from + 8, cases.size()); i++) {
          for (int j = 0; j < combinations.size(); j++) {
            if (ALL || j == i % combinations.size()) {
              SchemaSuite.Case schema = cases.get(i);
              GenerationOptions options = combinations.get(j).withConstraint(schema.constraint());
              if (open.size() == 32) {
                finished += open.stream().mapToInt(ConstrainedAnswersTest::check).sum();
                open.clear();
              }
              open.add(new Asked(schema, options, engine.submit(QUESTION, options, GenerationListener.NONE)));
              asked++;
            }
          }
        }
        finished += open.stream().mapToInt(ConstrainedAnswersTest::check).sum();
      }
    }
    int all = asked;
    int ended = finished;
    assertTrue(asked >= 200 && ended > 0.8 * all, () -> ended + " of " + all + " answers are finished");
  }

  /** Returns 1 for a finished answer, 0 for one that is cut. */
  private static int check(Asked asked) {
    GenerationResult result = asked.generation().await();
    String what = asked.schema().name() + " " + asked.schema().schema() + ": " + result.finishReason() + " " + result.text();
    if (result.finishReason().equals("eos")) {
      assertEquals("", asked.schema().problems(result.text()), what);
      assertTrue(asked.schema().constraint().allows(result.text()), what);
      return 1;
    }
    assertEquals("length", result.finishReason(), what);
    assertTrue(asked.schema().constraint().allowsPrefix(result.text()), what);
    return 0;
  }
}
