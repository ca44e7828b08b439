// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.Blocks;
import dev.diffusionvl.runtime.op.Segments;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.IntUnaryOperator;

/**
 * What a forward pass carries, for one sequence or many: a value of the host's, made from the parts of the sequences. Its rows, in order:
 *
 * <pre>
 *   prompt   chunks of prompts, a segment per block; stored, not scored
 *   stored   finished blocks; stored, not scored
 *   scored   blocks being denoised, each with its drafts; those first whose most likely token is taken, then those that are drawn
 * </pre>
 *
 * A block sees what its sequence has stored, in this pass too, and itself; a draft likewise. In a causal sequence, whose blocks are single
 * rows, a draft sees the block and the drafts before it as well. Nobody sees another sequence.
 *
 * @param segments of all rows
 * @param prompts where the embeddings of the prompt's rows come from
 * @param stored blocks, padding included
 * @param groups of scored blocks, one behind the other
 * @param pick per row behind the prompt's, where its id stands in the table of blocks
 * @param tasks the blocks to decide, in the order of their predictions
 */
record PassPlan(List<Rows> segments, List<PromptRows> prompts, int stored, List<Group> groups, int[] pick, int[] tasks) {
  /** A segment that sees the slots [contextBegin, contextEnd), and of itself what {@code own} says. */
  record Rows(int rows, int position, int slot, int contextBegin, int contextEnd, Segments.Own own) {
    /** One that sees all of itself. */
    Rows(int rows, int position, int slot, int contextBegin, int contextEnd) {
      this(rows, position, slot, contextBegin, contextEnd, Segments.Own.SELF);
    }
  }

  /** Rows of the prompt with these embeddings, from {@code from} on, that begin at {@code row} of the pass. */
  record PromptRows(DeviceBuffer embeddings, int from, int rows, int row) {}

  /**
   * Scored blocks that are decided alike.
   *
   * @param onHost the host decides; otherwise the device commits what is most confident
   * @param restricted among legal tokens
   * @param scores logits are wanted, not tokens
   * @param weighed the host changes logits before
   * @param drawn or else the most likely token is taken
   * @param excluded id that is never the most likely one, or −1
   * @param tasks sequences
   * @param blocks of theirs: themselves and drafts
   */
  record Group(boolean onHost, boolean restricted, boolean scores, boolean weighed, boolean drawn, int excluded, int tasks, int blocks) {}

  /** What passes have in common that launch the same kernels with the same arguments. */
  record Shape(int stored, List<Group> groups) {}

  /**
   * What one sequence puts into a pass.
   *
   * @param promptRows whole blocks of its prompt, behind what is cached already
   * @param finished its finished block is stored
   * @param variants of its block that are scored: itself and drafts, or 0
   * @param store its block itself is stored, and not scored
   */
  record Part(Sequence sequence, int promptRows, boolean finished, int variants, boolean store) {
    int rows() {
      return promptRows + sequence.extent().blockRows() * ((finished ? 1 : 0) + variants + (store ? 1 : 0));
    }

    /** Rows that are in the cache behind this pass and were not before. */
    int cachedRows() {
      return promptRows + (finished || store ? sequence.extent().blockRows() : 0);
    }
  }

  /**
   * Where ids stand in the table of blocks.
   *
   * @param rows of a block
   * @param finishedIds by slot, where the finished block's ids begin; those of the block follow, then those of its drafts
   */
  record Places(int rows, IntUnaryOperator finishedIds) {}

  /**
   * Where blocks stand that only fill up a pass to one of few sizes.
   *
   * @param slot of the table of blocks
   * @param cacheSlot first of as many as a block has rows
   */
  record Padding(int slot, int cacheSlot) {}

  /**
   * @param padding null: none. With padding, a pass without prompt rows has one of few shapes
   */
  static PassPlan of(List<Part> parts, Places places, Padding padding) {
    return new Builder(places, padding != null && parts.size() > 1 && parts.stream().allMatch(p -> p.promptRows() == 0) ? padding : null)
        .build(parts);
  }

  /** Rows of the pass. */
  int rows() {
    return promptRows() + pick.length;
  }

  int promptRows() {
    return prompts.stream().mapToInt(PromptRows::rows).sum();
  }

  /** Blocks whose logits are wanted. */
  int scored() {
    return groups.stream().mapToInt(Group::blocks).sum();
  }

  int promptSegments() {
    return segments.size() - stored - scored();
  }

  /** The first of a sequence's rows among all that are scored. */
  int firstScored(Sequence sequence) {
    for (int at = 0; at < tasks.length; at += Blocks.TASK_FIELDS) {
      if (tasks[at] == sequence.slot()) {
        return tasks[at + 1];
      }
    }
    throw new IllegalArgumentException("nothing of the sequence is scored");
  }

  /** Whether some of it is decided among legal tokens. */
  boolean restricted() {
    return groups.stream().anyMatch(Group::restricted);
  }

  /** Whether the host changes logits of some of it. */
  boolean weighed() {
    return groups.stream().anyMatch(Group::weighed);
  }

  /** Whether logits of some of it are wanted. */
  boolean scores() {
    return groups.stream().anyMatch(Group::scores);
  }

  Shape shape() {
    return new Shape(stored, groups);
  }

  /** Whether the device reads the same tables for both. */
  boolean sameTables(PassPlan other) {
    return other != null && segments.equals(other.segments) && Arrays.equals(pick, other.pick) && Arrays.equals(tasks, other.tasks);
  }

  /** Adds all segments, the rows of the pass one behind the other. */
  void fill(Segments target) {
    target.clear();
    int row = 0;
    for (Rows s : segments) {
      target.add(row, s.rows(), s.position(), s.slot(), s.contextBegin(), s.contextEnd(), s.own());
      row += s.rows();
    }
  }

  /** One of few numbers that is not less: 1, 2, 4, 8, … */
  static int bucket(int count) {
    return count <= 1 ? count : Integer.highestOneBit(count - 1) * 2;
  }

  private static final class Builder {
    private final Places places;
    private final int blockRows;
    private final Padding padding;
    private final List<Rows> segments = new ArrayList<>();
    private final List<PromptRows> prompts = new ArrayList<>();
    private final List<Group> groups = new ArrayList<>();
    private final List<Integer> pick = new ArrayList<>();
    private final List<Integer> tasks = new ArrayList<>();
    private int row;
    private int prediction;

    Builder(Places places, Padding padding) {
      this.places = places;
      blockRows = places.rows();
      this.padding = padding;
    }

    PassPlan build(List<Part> parts) {
      parts.stream().filter(p -> p.promptRows() > 0).forEach(this::prompt);
      List<Part> stored = parts.stream().filter(p -> p.finished() || p.store()).toList();
      stored.forEach(p -> {
        Sequence s = p.sequence();
        // the finished block stands one block before the one that is being denoised
        block(s, s.blockBegin() - (p.finished() ? blockRows : 0), s.cacheEnd(), s.cacheEnd(), p.finished() ? 0 : 1);
      });
      int storedBlocks = fill(stored.size());
      List<Part> scored = parts.stream().filter(p -> p.variants() > 0)
          .sorted(Comparator.comparing(Part::sequence, Comparator.comparing(Sequence::onHost).thenComparing(Sequence::causal)
              .thenComparing(Sequence::restricted).thenComparing(Sequence::scores).thenComparing(Sequence::weighed)
              .thenComparing(Sequence::drawn).thenComparing(Sequence::excluded))).toList();
      for (int from = 0; from < scored.size();) {
        Sequence first = scored.get(from).sequence();
        int to = from;
        while (to < scored.size() && scored.get(to).sequence().decidedLike(first)) {
          to++;
        }
        group(scored.subList(from, to), first);
        from = to;
      }
      return new PassPlan(segments, prompts, storedBlocks, groups, ints(pick), ints(tasks));
    }

    private void prompt(Part part) {
      Sequence s = part.sequence();
      int together = s.causal() ? part.promptRows() : s.extent().blockSize();
      for (int at = 0; at < part.promptRows(); at += together) {
        int slot = s.cacheEnd() + at;
        segments.add(new Rows(together, s.angle(s.cached() + at), slot, s.cacheBegin(), slot,
            s.causal() ? Segments.Own.CAUSAL : Segments.Own.SELF));
      }
      prompts.add(new PromptRows(s.embeddings(), s.cached(), part.promptRows(), row));
      row += part.promptRows();
    }

    /** @param place 0: the finished block, 1: the block, 2 and more: its drafts */
    private void block(Sequence s, int position, int slot, int contextEnd, int place) {
      segments.add(new Rows(blockRows, s.angle(position), slot, s.cacheBegin(), contextEnd));
      pick(s.slot(), place);
    }

    private void pick(int slot, int place) {
      int from = places.finishedIds().applyAsInt(slot) + place * blockRows;
      for (int i = 0; i < blockRows; i++) {
        pick.add(from + i);
      }
      row += blockRows;
    }

    private void group(List<Part> parts, Sequence first) {
      boolean causal = first.causal();
      int blocks = 0;
      for (Part part : parts) {
        Sequence s = part.sequence();
        int slot = s.cacheEnd() + part.cachedRows(); // behind all that this pass stores
        for (int variant = 0; variant < part.variants(); variant++) {
          int behind = slot + variant * blockRows;
          block(s, s.blockBegin() + (causal ? variant : 0), behind, causal ? behind : slot, 1 + variant);
        }
        task(s.slot(), part.variants());
        blocks += part.variants();
      }
      int padded = padding == null ? parts.size() : bucket(parts.size());
      int all = fill(blocks);
      for (int i = parts.size(); i < padded; i++) { // of drawn blocks: one per block that fills up
        tasks.addAll(List.of(padding.slot(), prediction + (i - parts.size()) * blockRows, 0, 0));
      }
      prediction += (all - blocks) * blockRows;
      groups.add(new Group(first.onHost(), first.restricted(), first.scores(), first.weighed(), first.drawn(),
          first.drawn() ? -1 : first.excluded(), padded, all));
    }

    private void task(int slot, int variants) {
      tasks.addAll(List.of(slot, prediction, variants, 0));
      prediction += variants * blockRows;
    }

    /** Fills up with blocks of no sequence; returns how many there are then. */
    private int fill(int count) {
      int all = padding == null ? count : bucket(count);
      for (int i = count; i < all; i++) {
        segments.add(new Rows(blockRows, 0, padding.cacheSlot(), padding.cacheSlot(), padding.cacheSlot()));
        pick(padding.slot(), 1);
      }
      return all;
    }

    private static int[] ints(List<Integer> list) {
      return list.stream().mapToInt(Integer::intValue).toArray();
    }
  }
}
