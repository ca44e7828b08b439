// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.BadInputException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;

/** What an engine promises to those who submit: an end for every request, and which. */
class EngineTest extends DemoModelTest {
  private static final Request QUESTION = Request.of("What do you see?");
  private static final GenerationOptions SHORT = GenerationOptions.DEFAULTS.withGenLength(16);
  private static final EngineOptions SMALL = EngineOptions.DEFAULTS.withSlots(2).withQueue(2).withKvTokens(1024);

  /** Keeps its generation from going on until it is let go. */
  private static final class Holding implements GenerationListener {
    final CountDownLatch begun = new CountDownLatch(1);
    final CountDownLatch release = new CountDownLatch(1);

    @Override
    public void onStep(int block, int step, List<Commit> committed) {
      begun.countDown();
      try {
        release.await();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }

  @Test
  void anAnswerIsThatOfASession() {
    try (Session session = f32.newSession(); Engine engine = f32.newEngine(SMALL)) {
      Trace heard = new Trace(true);
      GenerationResult alone = session.generate(QUESTION, SHORT);
      GenerationResult result = engine.submit(QUESTION, SHORT, heard).await();
      assertArrayEquals(alone.tokenIds(), result.tokenIds());
      assertEquals(alone.text(), result.text());
      assertEquals(alone.text(), heard.text.toString());
      assertEquals(1, engine.stats().finished());
      assertEquals(result.promptTokens(), engine.stats().promptTokens());
    }
  }

  @Test
  void whatIsWrongWithARequestIsSaidAtOnce() {
    try (Engine engine = f32.newEngine(SMALL)) {
      assertThrows(BadInputException.class, () -> engine.submit(Request.of("<image> Hm?"), SHORT, GenerationListener.NONE));
      assertThrows(PromptLimitException.class,
          () -> engine.submit(QUESTION, SHORT.withGenLength(1 << 20), GenerationListener.NONE));
      assertThrows(IllegalArgumentException.class, () -> EngineOptions.DEFAULTS.withSlots(65));
    }
  }

  @Test
  void aClosedEngineEndsWhatItHasAndTakesNothing() {
    Holding holding = new Holding();
    Engine engine = f32.newEngine(SMALL);
    Generation first = engine.submit(QUESTION, SHORT, holding);
    Generation second = engine.submit(QUESTION, SHORT, GenerationListener.NONE);
    assertFalse(engine.drain(Duration.ofMillis(1)) && !first.isDone());
    assertThrows(EngineException.Closed.class, () -> engine.submit(QUESTION, SHORT, GenerationListener.NONE));
    holding.release.countDown();
    assertTrue(engine.drain(Duration.ofMinutes(1)));
    assertEquals(first.await().text(), second.await().text());
    engine.close();
    engine.close();
    assertThrows(EngineException.Closed.class, () -> engine.submit(QUESTION, SHORT, GenerationListener.NONE));
  }
}
