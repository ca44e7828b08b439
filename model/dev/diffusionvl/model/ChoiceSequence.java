// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.model.PassPlan.Part;
import dev.diffusionvl.runtime.op.Remask;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * An answer that is one of some choices, found by comparing them (docs/structured-answers.md): a pass carries the block in as many forms as
 * there are beginnings of choices, and says how likely each goes on as a choice does. Choices of several blocks take a pass for each
 * different beginning of whole blocks. At temperature 0 the answer is the most likely choice; else it is drawn.
 */
final class ChoiceSequence extends Sequence {
  private final int[] promptIds;
  private final int maskId;
  private final List<int[]> choices;
  private final ChoiceTree tree;
  private int variants; // of the pass that is planned
  private int answer = -1;

  /** @param choices tokens of each, end of text included; the longest fits */
  ChoiceSequence(GenerationOptions options, Extent extent, int[] promptIds, int maskId, int drafts, List<int[]> choices,
      GenerationEvents events) {
    super(options, extent, drafts, events);
    this.promptIds = promptIds;
    this.maskId = maskId;
    this.choices = choices;
    tree = new ChoiceTree(choices, extent.promptRows(extent.promptBlocks()), extent.blockRows());
  }

  @Override
  boolean causal() {
    return false;
  }

  @Override
  boolean restricted() {
    return false;
  }

  @Override
  boolean scores() {
    return true;
  }

  @Override
  Remask.Rule rule() {
    return new Remask.Rule(false, 0, 0, 1, 0);
  }

  @Override
  Part part(int chunkRows, int budget) {
    if (cached() < promptBlockRows()) {
      Part part = promptPart(chunkRows, budget);
      variants = part == null || part.variants() == 0 ? 0 : tree.variants(1 + drafts());
      return part == null ? null : new Part(this, part.promptRows(), false, variants, false);
    }
    boolean riding = tree.storesBefore();
    variants = tree.variants(riding ? Math.max(1, drafts()) : 1 + drafts());
    return new Part(this, 0, riding, variants, false);
  }

  private int rowsBefore(int block) {
    return promptBlockRows() + block * extent().blockRows();
  }

  @Override
  int promptBlockRows() {
    return extent().promptBlocks() * extent().blockSize();
  }

  @Override
  boolean begins(Part part) {
    return part.variants() > 0;
  }

  @Override
  int[] begin(int given) {
    int rows = extent().blockRows();
    int[] ids = new int[variants * rows];
    Arrays.fill(ids, maskId);
    int variant = 0;
    for (int[] tokens : tree.blocks(variants)) {
      fill(ids, variant++ * rows, promptRows(), given, tokens);
    }
    return ids;
  }

  private static void fill(int[] ids, int at, int promptRows, int given, int[] tokens) {
    for (int i = 0; i < promptRows; i++) {
      ids[at + i] = -1 - given - i;
    }
    System.arraycopy(tokens, 0, ids, at + promptRows, tokens.length);
  }

  /** The rows of the block before; none before the first. */
  @Override
  int[] finished(int given) {
    int[] tokens = tree.finished();
    int[] ids = new int[tokens.length == 0 ? 0 : extent().blockRows()];
    if (ids.length > 0) {
      fill(ids, 0, ids.length - tokens.length, given, tokens);
    }
    return ids;
  }

  @Override
  List<ChoiceTree.Edge> edges() {
    return tree.edges(variants);
  }

  @Override
  void legal(LegalTokens.Writer writer) {
    throw new IllegalStateException("all tokens are legal");
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
    double[] logs = IntStream.range(0, tree.edges(variants).size()).mapToDouble(decided::logProbability).toArray();
    if (Arrays.stream(logs).anyMatch(Double::isNaN)) {
      throw decided.sawNaN("denoise forward " + (denoises() - 1));
    }
    tree.answered(variants, logs);
    if (tree.done()) {
      decide();
    } else if (tree.storesBefore()) {
      store(rowsBefore(tree.block() - 1) - cached()); // what other choices have left there is forgotten
    }
  }

  private void decide() {
    double[] probabilities = probabilities(drawn() ? 1 / options().sampling().temperature() : 1);
    answer = 0;
    double left = new SplittableRandom(options().sampling().seed()).nextDouble();
    for (int i = 0; i < probabilities.length; i++) {
      if (drawn() ? left >= 0 : probabilities[i] > probabilities[answer]) {
        answer = i;
      }
      left -= probabilities[i];
    }
    int[] tokens = choices.get(answer);
    events().step(extent().promptBlocks(), 0, extent().prompt(), new Written(tokens, tree.scores(answer)));
    events().blockDone(answer(), tokens.length);
  }

  /** Of the choices among each other. */
  private double[] probabilities(double power) {
    double most = Arrays.stream(tree.scores()).max().orElseThrow();
    double[] weights = Arrays.stream(tree.scores()).map(s -> Math.exp((s - most) * power)).toArray();
    double sum = Arrays.stream(weights).sum();
    return Arrays.stream(weights).map(w -> w / sum).toArray();
  }

  private record Written(int[] tokens, double[] logs) implements Committed {
    @Override
    public int rows() {
      return tokens.length;
    }

    @Override
    public int id(int row) {
      return tokens[row];
    }

    @Override
    public int stepOf(int row) {
      return 0;
    }

    @Override
    public float confidence(int row) {
      return (float) Math.exp(logs[row]);
    }
  }

  @Override
  boolean done() {
    return answer >= 0;
  }

  @Override
  int blockBegin() {
    return extent().begin(extent().promptBlocks() + tree.block());
  }

  @Override
  int promptRows() {
    return extent().promptRows(extent().promptBlocks() + tree.block());
  }

  @Override
  int excluded() {
    return maskId;
  }

  /** The choice, then the mask id where nothing is written. */
  @Override
  int[] answer() {
    int[] ids = new int[options().genLength()];
    Arrays.fill(ids, maskId);
    if (answer >= 0) {
      System.arraycopy(choices.get(answer), 0, ids, 0, choices.get(answer).length);
    }
    return ids;
  }

  @Override
  float[] logProbabilities() {
    float[] logs = new float[options().genLength()];
    Arrays.fill(logs, Float.NaN);
    for (int i = 0; answer >= 0 && i < choices.get(answer).length; i++) {
      logs[i] = (float) tree.scores(answer)[i];
    }
    return logs;
  }

  @Override
  List<GenerationResult.Choice> choices() {
    double[] probabilities = probabilities(1);
    List<String> texts = options().constraint().choices();
    return answer < 0 ? List.of() : IntStream.range(0, texts.size())
        .mapToObj(i -> new GenerationResult.Choice(texts.get(i), tree.scores()[i], probabilities[i])).toList();
  }

  @Override
  String finishReason() {
    return answer >= 0 ? "eos" : "cancelled";
  }

  @Override
  GenerationResult.Counts counts() {
    int length = answer < 0 ? 0 : choices.get(answer).length;
    int blocks = answer < 0 ? 0 : (extent().prompt() + length - 1) / extent().blockSize() - extent().promptBlocks() + 1;
    return new GenerationResult.Counts(blocks, prefills(), denoises(), 0, denoises(), length, passRows());
  }
}
