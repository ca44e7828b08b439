// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.Tokenizer;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A checkpoint's tokens as constraints see them, with the automata over them that were made last. Safe for use by several threads.
 */
public final class Vocabulary {
  /** Bytes of automata that are kept for the next request with the same constraint. */
  private static final long MAX_KEPT = 256L << 20;

  private final byte[][] tokens;
  private final int eos;
  private final Map<Constraint, TokenAutomaton> kept = new LinkedHashMap<>(16, 0.75f, true);

  /**
   * @param tokens per id the bytes that it decodes to; null or none: never part of an answer
   * @param eos the id that ends an answer
   */
  public Vocabulary(byte[][] tokens, int eos) {
    this.tokens = tokens.clone();
    this.tokens[eos] = null;
    this.eos = eos;
  }

  /** Of a checkpoint: special tokens and the mask are never part of an answer. */
  public static Vocabulary of(Tokenizer tokenizer, ModelConfig config) {
    byte[][] tokens = new byte[config.text().vocabSize()][];
    for (int id = 0; id < tokens.length; id++) {
      tokens[id] = id == config.maskTokenId() ? null : tokenizer.bytes(id);
    }
    return new Vocabulary(tokens, config.eosTokenId());
  }

  int size() {
    return tokens.length;
  }

  byte[] bytes(int id) {
    return tokens[id];
  }

  int eos() {
    return eos;
  }

  /**
   * The constraint's automaton over these tokens, made now unless it is there.
   *
   * @throws dev.diffusionvl.loader.BadInputException if it takes too much memory or time, or no answer can be written in these tokens
   */
  public TokenAutomaton automaton(Constraint constraint) {
    synchronized (kept) {
      TokenAutomaton known = kept.get(constraint);
      if (known != null) {
        return known;
      }
    }
    TokenAutomaton made = TokenAutomaton.of(constraint.bytes(), this);
    synchronized (kept) {
      kept.put(constraint, made);
      long bytes = kept.values().stream().mapToLong(TokenAutomaton::memory).sum();
      for (var oldest = kept.entrySet().iterator(); bytes > MAX_KEPT && kept.size() > 1; ) {
        bytes -= oldest.next().getValue().memory();
        oldest.remove();
      }
    }
    return made;
  }
}
