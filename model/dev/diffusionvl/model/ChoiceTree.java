// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * What is to be asked of a model to compare choices: the probability of each token of each choice behind those before it, the rest of the
 * block being masks. Choices that begin alike share what they have in common. Uses no device.
 */
final class ChoiceTree {
  /** Most questions of a pass. */
  static final int MAX_EDGES = 256;

  /** The logit of a token at a row of a variant is wanted. @param row of the block */
  record Edge(int variant, int row, int token, List<Integer> choices) {}

  /** A form of the block: its first tokens, and how they may go on. */
  private record Node(int[] tokens, TreeMap<Integer, List<Integer>> next) {}

  /** Choices with the same tokens in the blocks before one. */
  private record Stem(int block, int begin, List<Integer> choices) {}

  private final List<int[]> choices;
  private final int firstRow;
  private final int rows;
  private final double[] scores;
  private final double[][] ofTokens;
  private final Deque<Stem> stems = new ArrayDeque<>();
  private final Deque<Node> nodes = new ArrayDeque<>(); // of the current stem, not yet asked
  private Stem stem;
  private boolean fresh; // nothing was asked of the current stem

  /**
   * @param choices tokens of each
   * @param firstRow of the first block that a choice fills
   * @param rows of a block
   */
  ChoiceTree(List<int[]> choices, int firstRow, int rows) {
    this.choices = choices;
    this.firstRow = firstRow;
    this.rows = rows;
    scores = new double[choices.size()];
    ofTokens = choices.stream().map(c -> new double[c.length]).toArray(double[][]::new);
    stems.push(new Stem(0, 0, IntStream.range(0, choices.size()).boxed().toList()));
    next();
  }

  private int firstRow(Stem of) {
    return of.block() == 0 ? firstRow : 0;
  }

  /** Goes to the next choices with the same earlier blocks. */
  private void next() {
    stem = stems.poll();
    fresh = true;
    if (stem == null) {
      return;
    }
    Map<List<Integer>, Node> found = new LinkedHashMap<>();
    int room = rows - firstRow(stem);
    for (int choice : stem.choices()) {
      int[] tokens = choices.get(choice);
      for (int length = 0; length < room && stem.begin() + length < tokens.length; length++) {
        int[] before = Arrays.copyOfRange(tokens, stem.begin(), stem.begin() + length);
        found.computeIfAbsent(Arrays.stream(before).boxed().toList(), k -> new Node(before, new TreeMap<>()))
            .next().computeIfAbsent(tokens[stem.begin() + length], t -> new ArrayList<>()).add(choice);
      }
    }
    nodes.addAll(found.values());
  }

  boolean done() {
    return stem == null;
  }

  /** Whether the block before, which is not that of the last question, is to be stored. */
  boolean storesBefore() {
    return fresh && stem.block() > 0;
  }

  /** The block that is asked about, counted from the first of the answer. */
  int block() {
    return stem.block();
  }

  /** How many variants the next pass may have, up to {@code most}. */
  int variants(int most) {
    int edges = 0;
    int count = 0;
    for (Node node : nodes) {
      edges += node.next().size();
      if (count == most || count > 0 && edges > MAX_EDGES) {
        break;
      }
      count++;
    }
    return count;
  }

  /** The tokens of the variants, from the block's first row of the answer on. */
  List<int[]> blocks(int variants) {
    return nodes.stream().limit(variants).map(Node::tokens).toList();
  }

  /** Tokens of the block before the one that is asked about; none for the first. */
  int[] finished() {
    if (stem.block() == 0) {
      return new int[0];
    }
    int length = stem.block() == 1 ? rows - firstRow : rows;
    return Arrays.copyOfRange(choices.get(stem.choices().getFirst()), stem.begin() - length, stem.begin());
  }

  List<Edge> edges(int variants) {
    List<Edge> edges = new ArrayList<>();
    int variant = 0;
    for (Node node : nodes.stream().limit(variants).toList()) {
      int row = firstRow(stem) + node.tokens().length;
      int at = variant++;
      node.next().forEach((token, members) -> edges.add(new Edge(at, row, token, members)));
    }
    return edges;
  }

  /** Takes in what the edges of so many variants scored. @param logs natural logarithms of probabilities, in their order */
  void answered(int variants, double[] logs) {
    List<Edge> edges = edges(variants);
    for (int i = 0; i < logs.length; i++) {
      for (int choice : edges.get(i).choices()) {
        scores[choice] += logs[i];
        ofTokens[choice][stem.begin() + edges.get(i).row() - firstRow(stem)] = logs[i];
      }
    }
    for (int i = 0; i < variants; i++) {
      nodes.remove();
    }
    fresh = false;
    if (nodes.isEmpty()) {
      branch();
      next();
    }
  }

  private void branch() {
    int end = stem.begin() + rows - firstRow(stem);
    Map<List<Integer>, List<Integer>> behind = new LinkedHashMap<>();
    for (int choice : stem.choices()) {
      int[] tokens = choices.get(choice);
      if (tokens.length > end) {
        behind.computeIfAbsent(Arrays.stream(tokens, stem.begin(), end).boxed().toList(), k -> new ArrayList<>()).add(choice);
      }
    }
    behind.values().forEach(members -> stems.push(new Stem(stem.block() + 1, end, members)));
  }

  /** The logarithm of each choice's probability: of its tokens one after the other. */
  double[] scores() {
    return scores;
  }

  /** Of each token of a choice. */
  double[] scores(int choice) {
    return ofTokens[choice];
  }
}
