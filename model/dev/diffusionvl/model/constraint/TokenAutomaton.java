// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import dev.diffusionvl.loader.BadInputException;
import java.util.Arrays;

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
  private final TokenClasses tokens;
  private final int[] edgesFrom; // state → where its edges begin
  private final char[] edgeClass; // ascending within a state
  private final char[] edgeTarget;
  private final Followers[] followers; // by state
  private final long[][] allowed; // state → a bit per class that may follow
  private final int[] distance; // state → fewest tokens to the end, its own included

  private TokenAutomaton(ByteAutomaton bytes, Vocabulary vocabulary) {
    this.vocabulary = vocabulary;
    states = bytes.states();
    TokenTrie trie = new TokenTrie(bytes, vocabulary);
    tokens = new TokenClasses(trie, states, vocabulary);
    int[] examples = tokens.examples();
    int count = tokens.count();
    if (count > Character.MAX_VALUE || states > Character.MAX_VALUE - 1) {
      throw tooLarge();
    }
    int[][] all = new int[states + 1][];
    int edges = 0;
    for (int q = 0; q < states; q++) {
      all[q] = edges(trie, examples, q, bytes.accepts(q));
      edges += all[q].length;
      requireFew(edges + (long) (q + 1) * (count / 32));
    }
    all[states] = new int[] {edge(count - 1, states)};
    distance = distances(Arrays.stream(all).map(TokenAutomaton::targets).toArray(int[][]::new));
    for (int q = 0; q <= states; q++) {
      all[q] = Arrays.stream(all[q]).filter(e -> distance[target(e)] != NEVER).toArray();
    }
    edgesFrom = new int[states + 2];
    for (int q = 0; q <= states; q++) {
      edgesFrom[q + 1] = edgesFrom[q] + all[q].length;
    }
    edgeClass = new char[edgesFrom[states + 1]];
    edgeTarget = new char[edgeClass.length];
    followers = new Followers[states + 1];
    allowed = new long[states + 1][(count + 63) / 64];
    for (int q = 0; q <= states; q++) {
      int at = edgesFrom[q];
      for (int e : all[q]) {
        edgeClass[at] = (char) (e >>> 16);
        allowed[q][e >>> 22] |= 1L << (e >>> 16);
        edgeTarget[at++] = (char) target(e);
      }
      followers[q] = Followers.of(targets(all[q]));
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

  static BadInputException tooLarge() {
    return new BadInputException("constraint: too large, its table for the model's tokens would take more than %d MB"
        .formatted((4L * MAX_EDGES) >> 20));
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
  private static int[] distances(int[][] followers) {
    int end = followers.length - 1;
    int[] from = new int[followers.length + 1]; // state → where those before it begin
    for (int[] all : followers) {
      for (int q : all) {
        from[q + 1]++;
      }
    }
    Arrays.parallelPrefix(from, Integer::sum);
    int[] before = new int[from[end + 1]];
    int[] at = from.clone();
    for (int q = 0; q <= end; q++) {
      for (int next : followers[q]) {
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

  private static int[] targets(int[] edges) {
    return Arrays.stream(edges).map(TokenAutomaton::target).sorted().distinct().toArray();
  }

  /** Bytes that it takes, roughly. */
  public long memory() {
    long behind = Arrays.stream(followers).mapToLong(Followers::memory).sum() + 8L * allowed.length * (2 + allowed[0].length);
    return tokens.memory() + 4L * (edgesFrom.length + edgeClass.length + distance.length) + behind;
  }

  /** 32-bit words of a bit per token. */
  public int words() {
    return tokens.words();
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
    int wanted = tokens.classOf(token);
    int at = wanted < 0 ? -1 : Arrays.binarySearch(edgeClass, edgesFrom[state], edgesFrom[state + 1], (char) wanted);
    return at < 0 ? -1 : edgeTarget[at];
  }

  /** States behind a state. */
  Followers followers(int state) {
    return followers[state];
  }

  TokenClasses tokens() {
    return tokens;
  }

  /** Adds the classes that lead from a state into a set of states. */
  void addClasses(int state, StateSet into, long[] classes) {
    if (hasAll(classes, state)) {
      return; // in long strings one state after the other allows the same
    }
    if (into.hasAll(followers[state])) {
      for (int i = 0; i < classes.length; i++) {
        classes[i] |= allowed[state][i];
      }
      return;
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
}
