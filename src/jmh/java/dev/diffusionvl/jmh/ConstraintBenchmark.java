// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.jmh;

import dev.diffusionvl.loader.Tokenizer;
import dev.diffusionvl.model.constraint.BlockSets;
import dev.diffusionvl.model.constraint.Constraint;
import dev.diffusionvl.model.constraint.TokenAutomaton;
import dev.diffusionvl.model.constraint.Vocabulary;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.zip.GZIPInputStream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * The host's part of a denoising step under a constraint, over the 151,936 ids of Qwen2.5 and blocks of 8: a commit, and what may stand in
 * the rows that are left. Run in the project's folder.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class ConstraintBenchmark {
  private static final int VOCABULARY = 151_936;
  private static final int ROWS = 8;

  /** What the answer has to be. */
  @Param({"string", "receipt", "long string", "any"})
  public String wish;

  private Constraint constraint;
  private Vocabulary vocabulary;
  private TokenAutomaton automaton;
  private int[] words;

  @Setup
  public void load() throws IOException {
    Path folder = Files.createTempDirectory("tokenizer");
    Path file = folder.resolve("tokenizer.json");
    try (InputStream in = new GZIPInputStream(Files.newInputStream(Path.of("src/test/resources/qwen2.5/tokenizer.json.gz")))) {
      Files.copy(in, file);
    }
    Tokenizer tokenizer = Tokenizer.load(folder);
    Files.delete(file);
    Files.delete(folder);
    byte[][] tokens = new byte[VOCABULARY][];
    for (int id = 0; id < tokens.length; id++) {
      tokens[id] = tokenizer.bytes(id);
    }
    vocabulary = new Vocabulary(tokens, tokenizer.addedTokenId("<|im_end|>").orElseThrow());
    constraint = Constraint.jsonSchema(switch (wish) {
      case "string" -> "{\"type\":\"string\"}";
      case "long string" -> "{\"type\":\"string\",\"maxLength\":300}";
      case "any" -> "{}";
      default -> """
          {"type":"object","properties":{"shop":{"type":"string","maxLength":40},"date":{"type":"string","format":"date"},
          "total":{"type":"number"},"lines":{"type":"array","items":{"type":"object","properties":{"what":{"type":"string"},
          "count":{"type":"integer","minimum":0,"maximum":1000}},"required":["what","count"]}}},"required":["shop","total","lines"]}""";
    });
    automaton = vocabulary.automaton(constraint);
    words = new int[ROWS * automaton.words()];
  }

  /** A step: one row gets a token, the others' masks are made. */
  @Benchmark
  public BlockSets step() {
    BlockSets sets = new BlockSets(automaton, automaton.initial(), ROWS, 120);
    int token = sets.single(0);
    for (int row = 0; row < ROWS; row++) {
      sets.mask(row, words, row * automaton.words());
    }
    for (int word = 0; token < 0; word++) {
      token = words[word] == 0 ? -1 : word * 32 + Integer.numberOfTrailingZeros(words[word]);
    }
    sets.commit(0, token);
    return sets;
  }
}
