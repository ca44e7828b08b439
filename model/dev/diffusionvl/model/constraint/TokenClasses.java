// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/** Tokens between which no state of an automaton tells a difference, as classes from 0 on. The last class is end of text. */
final class TokenClasses {
  private static final long MAX_STEPS = 40L * TokenAutomaton.MAX_EDGES;

  private final int[] examples; // class → a kind of its tokens; not of end of text
  private final int[] classOf; // token → class, or −1
  private final int[] tokens; // by class
  private final int[] from; // class → where its tokens begin
  private final int[][] bits; // of classes with many tokens

  TokenClasses(TokenTrie trie, int states, Vocabulary vocabulary) {
    int[] numbers = new int[trie.kinds()]; // kind → number of its class from 0 on, or −1
    examples = numbered(classes(trie, states), numbers);
    int count = count();
    classOf = new int[vocabulary.size()];
    Arrays.setAll(classOf, id -> id == vocabulary.eos() ? count - 1 : trie.kindOf(id) < 0 ? -1 : numbers[trie.kindOf(id)]);
    from = new int[count + 1];
    tokens = byClass(count);
    bits = new int[count][];
    for (int c = 0; c < count; c++) {
      bits[c] = count(c) > words() ? bits(c) : null;
    }
  }

  /** Kind → class: kinds are parted by each state in turn. Class 0 may follow no state. */
  private static int[] classes(TokenTrie trie, int states) {
    int[] classes = new int[trie.kinds()];
    int[] used = {0};
    Map<Long, Integer> parts = new HashMap<>();
    int[] touched = new int[trie.kinds()];
    int[] parted = new int[trie.kinds()];
    long steps = 0;
    for (int q = 0; q < states; q++) {
      int[] count = {0};
      trie.walk(q, (kind, next) -> {
        touched[count[0]] = kind;
        parted[count[0]++] = parts.computeIfAbsent((long) classes[kind] << 32 | next, key -> ++used[0]);
      });
      for (int i = 0; i < count[0]; i++) {
        classes[touched[i]] = parted[i];
      }
      parts.clear();
      steps += count[0];
      if (steps > MAX_STEPS) {
        throw TokenAutomaton.tooLarge();
      }
    }
    return classes;
  }

  /** Gives the classes of kinds numbers without gaps; returns a kind of each. */
  private static int[] numbered(int[] classes, int[] numbers) {
    Map<Integer, Integer> found = new HashMap<>();
    int[] examples = new int[classes.length];
    for (int kind = 0; kind < classes.length; kind++) {
      int before = found.size();
      numbers[kind] = classes[kind] == 0 ? -1 : found.computeIfAbsent(classes[kind], c -> before);
      if (found.size() > before) {
        examples[before] = kind;
      }
    }
    return Arrays.copyOf(examples, found.size());
  }

  /** Tokens ordered by class; says where each class begins. */
  private int[] byClass(int count) {
    for (int c : classOf) {
      if (c >= 0) {
        from[c + 1]++;
      }
    }
    Arrays.parallelPrefix(from, Integer::sum);
    int[] at = Arrays.copyOf(from, count);
    int[] ordered = new int[from[count]];
    for (int id = 0; id < classOf.length; id++) {
      if (classOf[id] >= 0) {
        ordered[at[classOf[id]]++] = id;
      }
    }
    return ordered;
  }

  private int[] bits(int tokenClass) {
    int[] words = new int[words()];
    for (int i = from[tokenClass]; i < from[tokenClass + 1]; i++) {
      words[tokens[i] >>> 5] |= 1 << tokens[i];
    }
    return words;
  }

  int[] examples() {
    return examples;
  }

  int count() {
    return examples.length + 1;
  }

  /** Tokens of a class. */
  int count(int tokenClass) {
    return from[tokenClass + 1] - from[tokenClass];
  }

  int any(int tokenClass) {
    return tokens[from[tokenClass]];
  }

  /** The token's class; −1 where it may stand nowhere. */
  int classOf(int token) {
    return token < 0 || token >= classOf.length ? -1 : classOf[token];
  }

  /** 32-bit words of a bit per token. */
  int words() {
    return (classOf.length + 31) / 32;
  }

  long memory() {
    return 4L * (classOf.length + tokens.length + from.length + examples.length)
        + Arrays.stream(bits).filter(b -> b != null).count() * 4L * words();
  }

  /** Sets the bits of the tokens of some classes, which are bits of {@code classes}. */
  void setBits(long[] classes, int[] words, int at) {
    for (int block = 0; block < classes.length; block++) {
      for (long left = classes[block]; left != 0; left &= left - 1) {
        setBits(block * 64 + Long.numberOfTrailingZeros(left), words, at);
      }
    }
  }

  private void setBits(int tokenClass, int[] words, int at) {
    int[] all = bits[tokenClass];
    if (all != null) {
      for (int i = 0; i < all.length; i++) {
        words[at + i] |= all[i];
      }
      return;
    }
    for (int i = from[tokenClass]; i < from[tokenClass + 1]; i++) {
      words[at + (tokens[i] >>> 5)] |= 1 << tokens[i];
    }
  }
}
