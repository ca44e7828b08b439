// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import dev.diffusionvl.loader.BadInputException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * A constraint as an automaton over the tokens of a vocabulary. Tokens between which no state tells a difference are of one class; a state
 * has an edge per class that may follow. End of text leads from accepting states to the state {@link #end}, behind which there is nothing
 * but end of text. Every state can reach it. Immutable.
 */
public final class TokenAutomaton {
  /** Most edges; each takes 4 bytes. */
  static final int MAX_EDGES = 16 << 20;

  private static final int NEVER = Integer.MAX_VALUE;

  private final Vocabulary vocabulary;
  private final int states; // without the end
  private final int[] classOf; // token → class, or −1
  private final int[] tokens; // by class
  private final int[] tokensFrom; // class → where its tokens begin
  private final int[][] bits; // of classes with many tokens
  private final int[] edgesFrom; // state → where its edges begin
  private final char[] edgeClass; // ascending within a state
  private final char[] edgeTarget;
  private final char[][] followers; // state → states behind it
  private final long[][] allowed; // state → a bit per class that may follow
  private final int[] distance; // state → fewest tokens to the end, its own included

  private TokenAutomaton(ByteAutomaton bytes, Vocabulary vocabulary) {
    this.vocabulary = vocabulary;
    states = bytes.states();
    TokenTrie trie = new TokenTrie(bytes, vocabulary);
    int[] classes = classes(trie);
    int[] numbers = new int[trie.kinds()]; // kind → number of its class from 0 on, or −1
    int[] examples = numbered(classes, numbers);
    int count = examples.length + 1; // and end of text
    if (count > Character.MAX_VALUE || states > Character.MAX_VALUE - 1) {
      throw tooLarge();
    }
    classOf = new int[vocabulary.size()];
    Arrays.setAll(classOf, id -> id == vocabulary.eos() ? count - 1 : trie.kindOf(id) < 0 ? -1 : numbers[trie.kindOf(id)]);
    tokensFrom = new int[count + 1];
    tokens = byClass(count);
    bits = new int[count][];
    for (int c = 0; c < count; c++) {
      bits[c] = tokensFrom[c + 1] - tokensFrom[c] > words() ? bits(c) : null;
    }
    int[][] all = new int[states + 1][];
    int edges = 0;
    for (int q = 0; q < states; q++) {
      all[q] = edges(trie, examples, q, bytes.accepts(q));
      edges += all[q].length;
      requireFew(edges + (long) (q + 1) * (count / 32));
    }
    all[states] = new int[] {edge(count - 1, states)};
    distance = distances(Arrays.stream(all).map(TokenAutomaton::followers).toArray(char[][]::new));
    for (int q = 0; q <= states; q++) {
      all[q] = Arrays.stream(all[q]).filter(e -> distance[target(e)] != NEVER).toArray();
    }
    edgesFrom = new int[states + 2];
    for (int q = 0; q <= states; q++) {
      edgesFrom[q + 1] = edgesFrom[q] + all[q].length;
    }
    edgeClass = new char[edgesFrom[states + 1]];
    edgeTarget = new char[edgeClass.length];
    followers = new char[states + 1][];
    allowed = new long[states + 1][(count + 63) / 64];
    for (int q = 0; q <= states; q++) {
      int at = edgesFrom[q];
      for (int e : all[q]) {
        edgeClass[at] = (char) (e >>> 16);
        allowed[q][e >>> 22] |= 1L << (e >>> 16);
        edgeTarget[at++] = (char) target(e);
      }
      followers[q] = followers(all[q]);
    }
  }

  /** @throws BadInputException if it takes too much memory, or no answer can be written in these tokens */
  static TokenAutomaton of(ByteAutomaton bytes, Vocabulary vocabulary) {
    TokenAutomaton made = new TokenAutomaton(bytes, vocabulary);
    if (made.distance[0] == NEVER) {
      throw new BadInputException("constraint: no answer can be written in the model's tokens");
    }
    return made;
  }

  private static int edge(int tokenClass, int target) {
    return tokenClass << 16 | target;
  }

  private static int target(int edge) {
    return edge & 0xffff;
  }

  private static void requireFew(long edges) {
    if (edges > MAX_EDGES) {
      throw tooLarge();
    }
  }

  private static BadInputException tooLarge() {
    return new BadInputException("constraint: too large, its table for the model's tokens would take more than %d MB"
        .formatted((4L * MAX_EDGES) >> 20));
  }

  /** Kind → class: kinds are parted by each state in turn. Class 0 may follow no state. */
  private int[] classes(TokenTrie trie) {
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
      if (steps > 40L * MAX_EDGES) {
        throw tooLarge();
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
        tokensFrom[c + 1]++;
      }
    }
    Arrays.parallelPrefix(tokensFrom, Integer::sum);
    int[] at = Arrays.copyOf(tokensFrom, count);
    int[] ordered = new int[tokensFrom[count]];
    for (int id = 0; id < classOf.length; id++) {
      if (classOf[id] >= 0) {
        ordered[at[classOf[id]]++] = id;
      }
    }
    return ordered;
  }

  private int[] bits(int tokenClass) {
    int[] words = new int[words()];
    for (int i = tokensFrom[tokenClass]; i < tokensFrom[tokenClass + 1]; i++) {
      words[tokens[i] >>> 5] |= 1 << tokens[i];
    }
    return words;
  }

  private int[] edges(TokenTrie trie, int[] examples, int state, boolean accepting) {
    int[] found = new int[examples.length + 1];
    int count = 0;
    for (int c = 0; c < examples.length; c++) {
      int next = trie.next(state, examples[c]);
      if (next >= 0) {
        found[count++] = edge(c, next);
      }
    }
    if (accepting) {
      found[count++] = edge(examples.length, states);
    }
    return Arrays.copyOf(found, count);
  }

  /** By breadth from the end on, against the edges. */
  private static int[] distances(char[][] followers) {
    int end = followers.length - 1;
    int[] from = new int[followers.length + 1]; // state → where those before it begin
    for (char[] all : followers) {
      for (char q : all) {
        from[q + 1]++;
      }
    }
    Arrays.parallelPrefix(from, Integer::sum);
    int[] before = new int[from[end + 1]];
    int[] at = from.clone();
    for (int q = 0; q <= end; q++) {
      for (char next : followers[q]) {
        before[at[next]++] = q;
      }
    }
    int[] fewest = new int[end + 1];
    Arrays.fill(fewest, NEVER);
    fewest[end] = 0;
    int[] queue = new int[end + 1];
    queue[0] = end;
    int count = 1;
    for (int i = 0; i < count; i++) {
      int state = queue[i];
      for (int j = from[state]; j < from[state + 1]; j++) {
        if (fewest[before[j]] == NEVER) {
          fewest[before[j]] = fewest[state] + 1;
          queue[count++] = before[j];
        }
      }
    }
    return fewest;
  }

  private static char[] followers(int[] edges) {
    int[] targets = Arrays.stream(edges).map(TokenAutomaton::target).sorted().distinct().toArray();
    char[] all = new char[targets.length];
    for (int i = 0; i < all.length; i++) {
      all[i] = (char) targets[i];
    }
    return all;
  }

  /** Bytes that it takes, roughly. */
  public long memory() {
    long big = Arrays.stream(bits).filter(b -> b != null).count() * 4L * words();
    long behind = Arrays.stream(followers).mapToLong(f -> 2L * f.length + 16).sum() + 8L * allowed.length * (2 + allowed[0].length);
    return 4L * (classOf.length + tokens.length + tokensFrom.length + edgesFrom.length + edgeClass.length + distance.length) + big + behind;
  }

  /** 32-bit words of a bit per token. */
  public int words() {
    return (vocabulary.size() + 31) / 32;
  }

  /** Where every answer begins. */
  public int initial() {
    return 0;
  }

  /** Behind end of text. */
  public int end() {
    return states;
  }

  /** The token that ends an answer. */
  public int eos() {
    return vocabulary.eos();
  }

  /** States, the end included. */
  int states() {
    return states + 1;
  }

  /** Fewest tokens from a state to the end, end of text included. */
  public int distance(int state) {
    return distance[state];
  }

  /** The state behind a token, or −1 where it may not stand. */
  public int next(int state, int token) {
    int wanted = token < 0 || token >= classOf.length ? -1 : classOf[token];
    int at = wanted < 0 ? -1 : Arrays.binarySearch(edgeClass, edgesFrom[state], edgesFrom[state + 1], (char) wanted);
    return at < 0 ? -1 : edgeTarget[at];
  }

  /** States behind a state. */
  char[] followers(int state) {
    return followers[state];
  }

  int classes() {
    return bits.length;
  }

  /** Adds the classes that lead from a state into a set of states. */
  void addClasses(int state, StateSet into, long[] classes) {
    if (hasAll(classes, state)) {
      return; // in long strings one state after the other allows the same
    }
    for (int e = edgesFrom[state]; e < edgesFrom[state + 1]; e++) {
      if (into.has(edgeTarget[e])) {
        classes[edgeClass[e] >>> 6] |= 1L << edgeClass[e];
      }
    }
  }

  private boolean hasAll(long[] classes, int state) {
    long missing = 0;
    for (int i = 0; i < classes.length; i++) {
      missing |= allowed[state][i] & ~classes[i];
    }
    return missing == 0;
  }

  int tokenCount(int tokenClass) {
    return tokensFrom[tokenClass + 1] - tokensFrom[tokenClass];
  }

  int anyToken(int tokenClass) {
    return tokens[tokensFrom[tokenClass]];
  }

  /** Sets the bits of the tokens of some classes. */
  void setBits(long[] classes, int[] words, int at) {
    for (int block = 0; block < classes.length; block++) {
      for (long left = classes[block]; left != 0; left &= left - 1) {
        int c = block * 64 + Long.numberOfTrailingZeros(left);
        if (bits[c] != null) {
          int[] of = bits[c];
          for (int i = 0; i < of.length; i++) {
            words[at + i] |= of[i];
          }
        } else {
          for (int i = tokensFrom[c]; i < tokensFrom[c + 1]; i++) {
            words[at + (tokens[i] >>> 5)] |= 1 << tokens[i];
          }
        }
      }
    }
  }
}
