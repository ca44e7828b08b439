// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.model.PassPlan.Part;
import dev.diffusionvl.model.constraint.BlockSets;
import dev.diffusionvl.model.constraint.TokenAutomaton;
import dev.diffusionvl.runtime.op.Remask;
import java.util.Arrays;
import java.util.BitSet;
import java.util.function.IntPredicate;

/**
 * A generation token by token (docs/model.md, "Autoregressive base"). The prompt is stored but for its last row. From there on a pass
 * carries the row that was written last, which is stored by that and gives the next token, and drafts behind it: tokens that followed when
 * the same ones were written before. Drafts that turn out to be what the model says are kept, and were stored; the first wrong one and
 * those behind it are forgotten.
 */
final class AutoregressiveSequence extends Sequence {
  private final int[] ids; // of prompt and answer
  private final IntPredicate ends;
  private final TokenAutomaton automaton; // null: any text
  private final float penalty; // for tokens that have been there; 1: none
  private final BitSet seen = new BitSet(); // ids of prompt and answer
  private int state; // of the automaton
  private final float[] probabilities; // of the answer's tokens
  private int length; // of ids
  private int[] guesses = new int[0]; // that the next pass carries
  private boolean ended;

  /**
   * @param promptIds per row of the prompt its token id, or −1 for an image row
   * @param drafts most drafts that a pass carries
   * @param ends whether a token ends the answer
   * @param automaton of the answer's constraint; null: none
   */
  AutoregressiveSequence(GenerationOptions options, Extent extent, int[] promptIds, int drafts, IntPredicate ends,
      TokenAutomaton automaton, GenerationEvents events) {
    super(options, extent, drafts, events);
    this.automaton = automaton;
    state = automaton == null ? 0 : automaton.initial();
    this.ends = ends;
    ids = Arrays.copyOf(promptIds, extent.total());
    length = promptIds.length;
    probabilities = new float[extent.total() - length];
    penalty = options.decoding().repetitionPenalty();
    Arrays.stream(promptIds).filter(id -> id >= 0).forEach(seen::set);
  }

  /** Tokens of the answer. */
  private int written() {
    return length - extent().prompt();
  }

  @Override
  boolean causal() {
    return true;
  }

  @Override
  Remask.Rule rule() {
    return new Remask.Rule(false, 0, 0, 1, 0);
  }

  @Override
  Part part(int chunkRows, int budget) {
    return cached() < promptBlockRows() ? promptPart(chunkRows, budget) : new Part(this, 0, false, 1 + guesses.length, false);
  }

  @Override
  int promptBlockRows() {
    return extent().prompt() - 1;
  }

  @Override
  boolean begins(Part part) {
    return part.variants() > 0;
  }

  @Override
  int[] begin(int given) {
    int[] rows = new int[1 + guesses.length];
    rows[0] = written() == 0 ? -1 - given : ids[length - 1];
    System.arraycopy(guesses, 0, rows, 1, guesses.length);
    return rows;
  }

  @Override
  void legal(LegalTokens.Writer writer) {
    BlockSets sets = new BlockSets(automaton, state, 1, extent().total() - length);
    writer.row(0, (words, at) -> sets.mask(0, words, at));
  }

  @Override
  boolean weighed() {
    return penalty != 1;
  }

  @Override
  void weigh(HostLogits logits) {
    seen.stream().forEach(id -> {
      float logit = logits.get(id);
      logits.set(id, logit < 0 ? logit * penalty : logit / penalty);
    });
  }

  @Override
  boolean queued(Part part) {
    super.queued(part);
    return true;
  }

  @Override
  void read(Part part, Decided decided) {
    super.read(part, decided);
    if (part.variants() == 0) {
      return;
    }
    int right = 0; // rows that hold what the model says
    do {
      write(decided, right);
      right++;
    } while (!done() && right < part.variants() && guesses[right - 1] == ids[length - 1]);
    store(right);
    events().blockDone(answer(), written());
    int room = extent().total() - length - 1; // a draft for the last token would be of no use
    guesses = PromptLookup.drafts(ids, length, Math.min(drafts(), room));
  }

  private void write(Decided decided, int row) {
    int token = decided.token(row);
    float probability = decided.probability(row);
    if (Float.isNaN(probability)) {
      throw decided.sawNaN("forward " + (denoises() - 1));
    }
    state = automaton == null ? 0 : automaton.next(state, token);
    probabilities[written()] = probability;
    ids[length] = token;
    seen.set(token);
    events().step(length, 0, length, new Written(token, probability));
    length++;
    ended = ends.test(token);
  }

  private record Written(int token, float probability) implements Committed {
    @Override
    public int rows() {
      return 1;
    }

    @Override
    public int id(int row) {
      return token;
    }

    @Override
    public int stepOf(int row) {
      return 0;
    }

    @Override
    public float confidence(int row) {
      return probability;
    }
  }

  @Override
  boolean done() {
    return ended || length == ids.length;
  }

  @Override
  int blockBegin() {
    return length - 1;
  }

  @Override
  int promptRows() {
    return written() == 0 ? 1 : 0;
  }

  @Override
  int excluded() {
    return -1;
  }

  /** Up to and with the token that ended it. */
  @Override
  int[] answer() {
    return Arrays.copyOfRange(ids, extent().prompt(), length);
  }

  @Override
  float[] logProbabilities() {
    float[] logs = new float[written()];
    for (int i = 0; i < logs.length; i++) {
      logs[i] = (float) Math.log(probabilities[i]);
    }
    return logs;
  }

  @Override
  String finishReason() {
    return ended ? "eos" : events().wasCancelled() ? "cancelled" : "length";
  }

  @Override
  GenerationResult.Counts counts() {
    return new GenerationResult.Counts(written(), prefills(), denoises(), 0, written(), written(), passRows());
  }
}
