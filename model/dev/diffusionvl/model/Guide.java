// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.model.constraint.BlockSets;
import dev.diffusionvl.model.constraint.TokenAutomaton;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Steps of a sequence whose answer is constrained (docs/structured-answers.md): what may stand in its block, and what a step commits, one
 * row after the other, each being still allowed behind those before. Where a step could commit fewer than are due, the next one makes up
 * for it, if need be beyond the schedule. Rows with a single legal token are committed beside the schedule. Uses no device.
 */
final class Guide {
  private final TokenAutomaton automaton;
  private final Schedule schedule;
  private final int[] quota;
  private int state; // of the automaton, before the block
  private int first; // the block's first row of the answer
  private BlockSets sets;
  private int committed; // by the block's steps, without single legal tokens

  Guide(TokenAutomaton automaton, Schedule schedule) {
    this.automaton = automaton;
    this.schedule = schedule;
    quota = schedule.quota();
    state = automaton.initial();
  }

  /**
   * A block begins.
   *
   * @param ids of its rows; single legal tokens are filled in
   * @param first its first row of the answer
   * @param left tokens of the answer that are left for it and those behind
   * @return rows that are left masked
   */
  int begin(int[] ids, int first, int left) {
    this.first = first;
    sets = new BlockSets(automaton, state, ids.length - first, left);
    committed = 0;
    int masked = 0;
    for (int row = first; row < ids.length; row++) {
      int only = sets.single(row - first);
      if (only >= 0) {
        sets.commit(row - first, only);
        ids[row] = only;
      }
      masked += only >= 0 ? 0 : 1;
    }
    return masked;
  }

  /** Writes what may stand in the block's open rows. */
  void legal(LegalTokens.Writer writer) {
    for (int row = 0; row < sets.rows(); row++) {
      if (sets.open(row)) {
        int at = row;
        writer.row(first + row, (words, from) -> sets.mask(at, words, from));
      }
    }
  }

  /** One step from what a pass predicts, written to the block. @throws NumericalException if an open row's logits hold NaN */
  void step(Decided decided, int maskId) {
    BlockState block = decided.block();
    List<Integer> open = IntStream.range(0, block.rows()).filter(row -> block.id(row) == maskId).boxed()
        .sorted(Comparator.comparingDouble((Integer row) -> -decided.probability(row)).thenComparing(row -> row)).toList();
    if (open.stream().anyMatch(row -> Float.isNaN(decided.probability(row)))) {
      throw decided.sawNaN("denoise forward " + block.forwards());
    }
    long above = !schedule.dynamic() ? 0 : open.stream().filter(row -> decided.probability(row) > schedule.threshold()).count();
    int due = due(block.step(), open.size());
    long most = Math.max(due, above);
    long taken = 0;
    for (int row : open) {
      if (taken < most && sets.legal(row - first, decided.token(row))) {
        commit(block, row, decided.token(row), decided.probability(row));
        taken++;
        commitSingles(block);
      }
    }
    committed += (int) taken;
    block.stepped((int) IntStream.range(0, sets.rows()).filter(sets::open).count());
  }

  /** Commits that the schedule asks for up to a step and that were not made; at least one, and behind the last step all. */
  private int due(int step, int open) {
    if (step >= schedule.steps()) {
      return open;
    }
    int scheduled = IntStream.rangeClosed(0, step).map(i -> quota[i]).sum();
    return Math.clamp(scheduled - committed, 1, Math.max(1, open));
  }

  private void commit(BlockState block, int row, int token, float probability) {
    sets.commit(row - first, token);
    block.commit(row, token, probability);
  }

  private void commitSingles(BlockState block) {
    for (int row = 0; row < sets.rows(); row++) {
      int only = sets.open(row) ? sets.single(row) : -1;
      if (only >= 0) {
        commit(block, first + row, only, 1);
      }
    }
  }

  /** The block has all its tokens. */
  void finish() {
    state = sets.stateBehind();
  }
}
