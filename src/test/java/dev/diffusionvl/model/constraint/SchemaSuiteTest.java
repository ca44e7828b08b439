// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.Tokenizer;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The schemas of the official test suite and our own: every text that an automaton accepts is valid for an independent validator. */
class SchemaSuiteTest {
  private static final long SEED = Long.getLong("test.seed", 1L);
  private static final int TEXTS = 40;

  private static List<SchemaSuite.Case> cases;

  @BeforeAll
  static void read() {
    cases = SchemaSuite.all();
  }

  @Test
  void twoHundredSchemasAreTaken() {
    List<SchemaSuite.Case> taken = cases.stream().filter(c -> c.constraint() != null).toList();
    assertTrue(taken.size() >= 200, "schemas that are taken: " + taken.size());
    for (SchemaSuite.Case c : cases) {
      if (c.constraint() == null) {
        assertTrue(c.refusal().startsWith("JSON schema: ") || c.refusal().startsWith("regular expression ")
            || c.refusal().startsWith("constraint: too large"), c.name() + ": " + c.refusal());
        assertEquals(1, c.refusal().lines().count(), c.refusal());
      }
    }
  }

  /** A keyword that is not supported is refused by its name in each of the suite's files about it. */
  @Test
  void unsupportedKeywordsAreNamed() {
    for (String keyword : List.of("not", "multipleOf", "contains", "dependentRequired", "patternProperties", "propertyNames",
        "maxProperties")) {
      List<SchemaSuite.Case> about = cases.stream().filter(c -> c.name().startsWith(keyword + ".json")).toList();
      assertTrue(!about.isEmpty(), keyword);
      for (SchemaSuite.Case c : about) {
        assertTrue(c.refusal() != null && (c.refusal().contains(" " + keyword) || c.refusal().contains("the keyword ")), c.name() + ": "
            + c.refusal());
      }
    }
  }

  /** No value that the suite calls invalid is accepted, in the form that answers have. */
  @Test
  void acceptsNothingThatTheSuiteCallsInvalid() {
    int valid = 0;
    for (SchemaSuite.Case c : cases) {
      for (SchemaSuite.Example example : c.constraint() == null ? List.<SchemaSuite.Example>of() : c.examples()) {
        String text = new String(JsonText.of(example.data()).getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8);
        boolean accepted = c.constraint().allows(text);
        assertTrue(example.valid() || !accepted, c.name() + " accepts " + text);
        valid += accepted ? 1 : 0;
      }
    }
    assertTrue(valid > 150, "valid values that are accepted: " + valid);
  }

  @Test
  void whatIsAcceptedIsValid() {
    Random random = new Random(SEED);
    int texts = 0;
    for (SchemaSuite.Case c : cases) {
      if (c.constraint() != null && !c.name().startsWith("ecmascript-regex")) { // the validator reads patterns as the JDK does
        int[] distance = distances(c.constraint().bytes());
        for (int i = 0; i < TEXTS; i++) {
          String text = draw(c.constraint().bytes(), distance, random);
          assertEquals("", c.problems(text), () -> c.name() + " " + c.schema() + " on " + text + ", seed " + SEED);
          texts++;
        }
      }
    }
    assertTrue(texts > 200 * TEXTS - 1);
  }

  /** The tables of the 20 schemas that need most, over a vocabulary of Qwen2.5's size, take less than 100 MB together. */
  @Test
  void tablesOfTheLargestAreSmall() throws IOException {
    Path folder = Files.createTempDirectory("tokenizer");
    try (InputStream in = new GZIPInputStream(Files.newInputStream(Path.of("src/test/resources/qwen2.5/tokenizer.json.gz")))) {
      Files.copy(in, folder.resolve("tokenizer.json"));
    }
    Tokenizer tokenizer = Tokenizer.load(folder);
    byte[][] tokens = new byte[151_936][];
    Arrays.setAll(tokens, tokenizer::bytes);
    Vocabulary vocabulary = new Vocabulary(tokens, tokenizer.addedTokenId("<|im_end|>").orElseThrow());
    long bytes = cases.stream().filter(c -> c.constraint() != null).map(c -> c.constraint().bytes())
        .sorted(Comparator.comparingInt(automaton -> -automaton.states())).limit(20)
        .mapToLong(automaton -> TokenAutomaton.of(automaton, vocabulary).memory()).sum();
    assertTrue(bytes < 100_000_000, "tables of " + bytes + " bytes");
  }

  private static int[] distances(ByteAutomaton automaton) {
    int[] distance = new int[automaton.states()];
    Arrays.fill(distance, Integer.MAX_VALUE);
    List<List<Integer>> before = new ArrayList<>();
    for (int q = 0; q < distance.length; q++) {
      before.add(new ArrayList<>());
    }
    Deque<Integer> open = new ArrayDeque<>();
    for (int q = 0; q < distance.length; q++) {
      for (int b = 0; b < 256; b++) {
        if (automaton.next(q, b) >= 0) {
          before.get(automaton.next(q, b)).add(q);
        }
      }
      if (automaton.accepts(q)) {
        distance[q] = 0;
        open.add(q);
      }
    }
    while (!open.isEmpty()) {
      int at = open.remove();
      for (int q : before.get(at)) {
        if (distance[q] == Integer.MAX_VALUE) {
          distance[q] = distance[at] + 1;
          open.add(q);
        }
      }
    }
    return distance;
  }

  /** Any bytes for a while, then the shortest way to the end. */
  private static String draw(ByteAutomaton automaton, int[] distance, Random random) {
    byte[] bytes = new byte[10_000];
    int length = 0;
    int patience = random.nextInt(60);
    int state = automaton.initial();
    while (!(automaton.accepts(state) && (length >= patience || random.nextInt(4) == 0))) {
      int[] choices = new int[256];
      int count = 0;
      for (int b = 0; b < 256; b++) {
        int next = automaton.next(state, b);
        if (next >= 0 && (length < patience || distance[next] < distance[state])) {
          choices[count++] = b;
        }
      }
      if (count == 0) {
        break; // the end, at which nothing can follow
      }
      bytes[length] = (byte) choices[random.nextInt(count)];
      state = automaton.next(state, bytes[length++]);
    }
    return new String(bytes, 0, length, StandardCharsets.UTF_8);
  }
}
