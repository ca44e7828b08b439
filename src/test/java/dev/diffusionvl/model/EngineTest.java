// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.model.EngineOptions.Service;
import dev.diffusionvl.prove.Emulator;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
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
  void aDrainedEngineFinishesWhatItHasAndTakesNothing() {
    Holding holding = new Holding();
    Engine engine = f32.newEngine(SMALL);
    Generation first = engine.submit(QUESTION, SHORT, holding);
    Generation second = engine.submit(QUESTION, SHORT, GenerationListener.NONE);
    assertFalse(engine.drain(Duration.ofMillis(1)), "a listener is still busy");
    assertThrows(EngineException.Closed.class, () -> engine.submit(QUESTION, SHORT, GenerationListener.NONE));
    holding.release.countDown();
    assertTrue(engine.drain(Duration.ofMinutes(2)));
    assertEquals(first.await().text(), second.await().text());
    engine.close();
    engine.close();
    assertThrows(EngineException.Closed.class, () -> engine.submit(QUESTION, SHORT, GenerationListener.NONE));
  }

  /** A listener that never comes back: its slot is free for others meanwhile, and closing ends it. */
  @Test
  void aListenerThatBlocksHarmsNobodyElse() {
    Holding holding = new Holding();
    Engine engine = f32.newEngine(SMALL.withSlots(1));
    Generation stuck = engine.submit(QUESTION, SHORT, holding);
    GenerationResult other = engine.submit(QUESTION, SHORT, GenerationListener.NONE).await();
    assertEquals(16, other.tokenIds().length);
    assertFalse(stuck.isDone());
    engine.close();
    assertThrows(EngineException.Closed.class, stuck::await);
  }

  @Test
  void aListenerThatThrowsEndsItsOwnGeneration() {
    try (Engine engine = f32.newEngine(SMALL)) {
      GenerationListener broken = new GenerationListener() {
        @Override
        public void onText(String text) {
          throw new IllegalStateException("broken pipe");
        }
      };
      Generation thrown = engine.submit(QUESTION, GenerationOptions.DEFAULTS, broken);
      Generation sound = engine.submit(QUESTION, SHORT, GenerationListener.NONE);
      assertEquals("broken pipe", assertThrows(IllegalStateException.class, thrown::await).getMessage());
      assertEquals(16, sound.await().tokenIds().length);
      Generation asked = engine.submit(QUESTION, SHORT, new GenerationListener() {
        @Override
        public boolean isCancelled() {
          throw new AssertionError("asked");
        }
      });
      assertEquals("asked", assertThrows(AssertionError.class, asked::await).getMessage());
      assertEquals(2, engine.stats().failed());
    }
  }

  @Test
  void aFullQueueRefusesAtOnce() {
    try (Engine engine = f32.newEngine(SMALL.withSlots(1).withQueue(2))) {
      List<Generation> taken = new ArrayList<>();
      int refused = 0;
      for (int i = 0; i < 40; i++) {
        try {
          taken.add(engine.submit(QUESTION, SHORT, GenerationListener.NONE));
        } catch (EngineException.QueueFull full) {
          refused++;
        }
      }
      assertTrue(refused > 0, "40 requests at once, of which 3 have a place");
      int[] ids = taken.getFirst().await().tokenIds();
      for (Generation generation : taken) {
        assertArrayEquals(ids, generation.await().tokenIds());
      }
      assertEquals(taken.size(), engine.stats().finished());
      engine.submit(QUESTION, SHORT, GenerationListener.NONE).await();
    }
  }

  @Test
  void deadlinesAndPriorities() {
    try (Engine engine = f32.newEngine(SMALL.withSlots(1).withQueue(8))) {
      GenerationOptions longer = SHORT.withGenLength(400);
      Generation running = engine.submit(QUESTION, longer, GenerationListener.NONE);
      Generation late = engine.submit(QUESTION, SHORT, GenerationListener.NONE, new Service(Duration.ofMillis(1), 9));
      List<String> order = Collections.synchronizedList(new ArrayList<>());
      List<Generation> all = new ArrayList<>();
      for (int priority : new int[] {0, 5, 1, 5}) {
        String name = priority + " " + all.size();
        all.add(engine.submit(QUESTION, SHORT, new GenerationListener() {
          @Override
          public void onText(String text) {
            if (!order.contains(name)) {
              order.add(name);
            }
          }
        }, new Service(null, priority)));
      }
      assertThrows(EngineException.DeadlineExceeded.class, late::await);
      running.cancel();
      assertEquals("cancelled", running.await().finishReason());
      all.forEach(Generation::await);
      assertEquals(List.of("5 1", "5 3", "1 2", "0 0"), order);
      Generation tooLong = engine.submit(QUESTION, longer, GenerationListener.NONE, new Service(Duration.ofMillis(30), 0));
      assertThrows(EngineException.DeadlineExceeded.class, tooLong::await);
    }
  }

  /** Who is being answered waits for one request's run of the vision tower between two passes, however many images come at once. */
  @Test
  void imagesThatComeTogetherAreEncodedOneAfterTheOther() throws Exception {
    int images = 5;
    RgbImage picture = new RgbImage(60, 56, new byte[3 * 60 * 56]);
    try (Engine engine = f32.newEngine(SMALL.withSlots(8).withQueue(8).withKvTokens(4096).withPrefixCacheBytes(0))) {
      assumeTrue(Emulator.present(), "needs the emulated device's journal");
      CountDownLatch begun = new CountDownLatch(1);
      for (int seed = 0; seed < 3; seed++) { // answers that go on for a while, one of them at least
        engine.submit(QUESTION, SHORT.withGenLength(800).withSampling(2, 0, 1).withSeed(seed), new GenerationListener() {
          @Override
          public void onStep(int block, int step, List<Commit> committed) {
            begun.countDown();
          }
        });
      }
      begun.await();
      Emulator.keepJournal(true);
      List<Generation> all = new ArrayList<>();
      for (int i = 0; i < images; i++) {
        all.add(engine.submit(Request.of("What is it?", picture), SHORT.withGenLength(8), GenerationListener.NONE));
      }
      all.forEach(Generation::await);
      int layers = f32.config().vision().depth();
      List<Integer> towers = new ArrayList<>(List.of(0)); // layers of the tower in front of each pass
      for (String line : Emulator.takeJournal()) {
        if (line.startsWith("vision_rotary")) {
          towers.set(towers.size() - 1, towers.getLast() + 1);
        } else if (line.startsWith("remask")) {
          towers.add(0);
        }
      }
      assertEquals(images * layers, towers.stream().mapToInt(n -> n).sum());
      assertEquals(layers, towers.stream().mapToInt(n -> n).max().orElseThrow(), towers.toString());
    } finally {
      if (Emulator.present()) {
        Emulator.keepJournal(false);
      }
    }
  }

  @Test
  void closingEndsAllThatIsUnderWay() {
    Engine engine = f32.newEngine(SMALL);
    List<Generation> all = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      all.add(engine.submit(QUESTION, SHORT.withGenLength(200), GenerationListener.NONE));
    }
    engine.close();
    for (Generation generation : all) {
      assertThrows(EngineException.Closed.class, generation::await);
    }
  }

  @Test
  void requestsLargerThanTheMemoryForKeysAndValuesAreRefused() {
    try (Engine engine = f32.newEngine(SMALL.withKvTokens(128))) {
      PromptLimitException e = assertThrows(PromptLimitException.class,
          () -> engine.submit(QUESTION, SHORT.withGenLength(128), GenerationListener.NONE));
      assertTrue(e.getMessage().contains("kv-tokens"), e.getMessage());
      engine.submit(QUESTION, SHORT, GenerationListener.NONE).await();
    }
  }
}
