// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.model.PassPlan.Part;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.Remask;
import dev.diffusionvl.runtime.op.Sample;
import java.util.Arrays;
import java.util.List;

/**
 * One generation as data: where it stands, and what it puts into the next pass. Uses no device. What all decodings have in common is
 * here: its places, its prompt, which is stored chunk by chunk, and how tokens are drawn.
 */
abstract class Sequence {
  private static final int MAX_SCORED_ROWS = 512; // with drafts; beyond, rows cost more than passes, and logits are large

  private static final int COMPARED = 15;

  private final GenerationOptions options;
  private final Extent extent;
  private final GenerationEvents events;
  private final int drafts;
  private int slot = -1;
  private int cacheBegin;
  private int firstAngle;
  private int cached; // rows in the cache
  private DeviceBuffer embeddings; // of the prompt; the owner is who gave it
  private int prefills;
  private int denoises;
  private long passRows;

  /** @param drafts most drafts that a pass carries */
  Sequence(GenerationOptions options, Extent extent, int drafts, GenerationEvents events) {
    this.options = options;
    this.extent = extent;
    this.drafts = drafts;
    this.events = events;
  }

  /**
   * Drafts that a pass may carry: none where tokens are drawn, since a draft cannot foresee a draw, or restricted, since what may stand in
   * a draft is not worked out; nor where logits change on the host; few where rows are many.
   */
  static int drafts(GenerationOptions options, Extent extent, int slots) {
    int fit = Math.max(0, MAX_SCORED_ROWS / Math.max(1, slots * extent.blockRows()) - 1);
    if (options.constraint() != null && !options.constraint().choices().isEmpty()) {
      return Math.min(fit, COMPARED); // forms of the block in which choices are compared
    }
    boolean none = options.sampling().drawn() || options.constraint() != null || options.decoding().repetitionPenalty() != 1;
    return none ? 0 : Math.min(fit, options.execution().speculate());
  }

  /** Sequences of blocks of so many rows that pass together. */
  static int together(int slots, int blockRows) {
    return Math.clamp(MAX_SCORED_ROWS / Math.max(1, blockRows), 1, slots);
  }

  /**
   * Gives the sequence its places.
   *
   * @param slot of the table of blocks
   * @param cacheBegin the first of as many slots of the cache as {@link #cacheRows}
   * @param firstAngle row of the table of angles for its first row; the others follow
   */
  final void place(int slot, int cacheBegin, int firstAngle) {
    this.slot = slot;
    this.cacheBegin = cacheBegin;
    this.firstAngle = firstAngle;
  }

  /** The first rows of the prompt, {@link #promptBlockRows} or less, are in its range of the cache already. */
  void restored(int rows) {
    cached = rows;
  }

  /** Gives it the embeddings of its prompt [prompt rows or more, H]. */
  final void embeddings(DeviceBuffer embeddings) {
    this.embeddings = embeddings;
  }

  final DeviceBuffer embeddings() {
    return embeddings;
  }

  /** Slots of the cache that it will ever use. */
  final int cacheRows() {
    return extent.cacheRows(drafts);
  }

  /** Each row sees those before it; otherwise a row sees its block. */
  abstract boolean causal();

  /** Its tokens are chosen among those that {@link #legal} says. */
  boolean restricted() {
    return options.constraint() != null;
  }

  /** Its logits change on the host, by {@link #weigh}, before a token is chosen. */
  boolean weighed() {
    return false;
  }

  /** Changes the logits of the row that the pass has scored. */
  void weigh(HostLogits logits) {
    throw new IllegalStateException("logits stay as they are");
  }

  /** It wants to know how likely some tokens are: its {@link #edges}. */
  boolean scores() {
    return false;
  }

  /** The host decides; otherwise the device commits. */
  final boolean onHost() {
    return causal() || restricted() || scores();
  }

  /** Where it is restricted: writes what may stand in the rows that the next pass scores. */
  abstract void legal(LegalTokens.Writer writer);

  /** How the device commits what it predicts. */
  abstract Remask.Rule rule();

  final Sample.Rule sampling() {
    Sampling s = options.sampling();
    return new Sample.Rule(s.temperature(), s.topK(), s.topP(), excluded(), s.seed(), drawn() && s.uniforms() != null);
  }

  /**
   * What it puts into the next pass; null while {@code budget} rows are too few for its chunk of the prompt.
   *
   * @param chunkRows of a chunk, whatever the budget; a multiple of the block size
   */
  abstract Part part(int chunkRows, int budget);

  /** The next chunk of the prompt. With fused store, the last one comes with what is denoised behind it. */
  final Part promptPart(int chunkRows, int budget) {
    int left = promptBlockRows() - cached;
    int chunk = Math.min(left, chunkRows);
    return chunk > budget ? null : new Part(this, chunk, false, chunk == left && options.execution().fusedStore() ? 1 : 0, false);
  }

  /** Rows of the prompt that are stored and not scored. */
  abstract int promptBlockRows();

  /** Whether a block has to be put into the table before a pass with this part. */
  abstract boolean begins(Part part);

  /**
   * The block's rows: a token id, the mask id, or −1 − {@code given} − i for row i that the prompt fills. Of a causal sequence those of its
   * drafts follow.
   */
  abstract int[] begin(int given);

  /** Where its variants are its own: the rows of the block that the next pass stores on the way; none where there is no such block. */
  int[] finished(int given) {
    return new int[0];
  }

  /** What it wants to know of the pass. */
  List<ChoiceTree.Edge> edges() {
    return List.of();
  }

  /** The numbers that the next pass draws with; null where none are given. @throws IllegalArgumentException if there are too few */
  final double[] numbers() {
    if (!drawn() || options.sampling().uniforms() == null) {
      return null;
    }
    int rows = extent.blockRows();
    var uniforms = options.sampling().uniforms();
    int given = uniforms.size();
    if (denoises >= given || uniforms.get(denoises).length < rows) {
      throw new IllegalArgumentException("uniforms: denoise forward %d needs %d numbers, the file has %d forwards%s".formatted(denoises,
          rows, given, denoises < given ? " and " + uniforms.get(denoises).length + " numbers in this one" : ""));
    }
    return Arrays.copyOf(uniforms.get(denoises), rows);
  }

  /** A pass with the part is queued. Returns whether {@link #read} has to follow, behind a download of what was decided. */
  boolean queued(Part part) {
    store(part.cachedRows());
    prefills += part.promptRows() > 0 && part.variants() == 0 ? 1 : 0;
    denoises += part.variants() > 0 ? 1 : 0;
    passRows += part.rows();
    return part.promptRows() > 0;
  }

  /** So many rows more are in the cache. */
  final void store(int rows) {
    cached += rows;
  }

  /**
   * Takes in what the pass did, and reports it.
   *
   * @param decided after the pass; looked at only if the pass was to be read
   * @throws NumericalException if the model's logits hold NaN
   */
  void read(Part part, Decided decided) {
    if (part.promptRows() > 0) {
      events.promptRead(cached, promptBlockRows());
    }
  }

  abstract boolean done();

  final GenerationOptions options() {
    return options;
  }

  final Extent extent() {
    return extent;
  }

  final GenerationEvents events() {
    return events;
  }

  /** Most drafts that a pass carries. */
  final int drafts() {
    return drafts;
  }

  /** Row of the table of angles for a row of the sequence. */
  final int angle(int row) {
    return firstAngle + row;
  }

  final int slot() {
    return slot;
  }

  final int cacheBegin() {
    return cacheBegin;
  }

  /** Slot behind the rows that are cached. */
  final int cacheEnd() {
    return cacheBegin + cached;
  }

  final int cached() {
    return cached;
  }

  /** Position of the block that is denoised. */
  abstract int blockBegin();

  /** How many rows of the block the prompt fills. */
  abstract int promptRows();

  /** Tokens are drawn; otherwise the most likely one is taken. */
  final boolean drawn() {
    return options.sampling().drawn();
  }

  /** An id that is never chosen, or −1. */
  abstract int excluded();

  final boolean decidedLike(Sequence other) {
    return causal() == other.causal() && restricted() == other.restricted() && scores() == other.scores()
        && weighed() == other.weighed() && drawn() == other.drawn() && (drawn() || excluded() == other.excluded());
  }

  /** The ids of the answer so far. */
  abstract int[] answer();

  /**
   * Of each token of {@link #answer}, the logarithm of its probability when it was committed; NaN where nothing is written.
   */
  abstract float[] logProbabilities();

  /** How likely each choice is; none where the answer is not found by comparing choices. */
  List<GenerationResult.Choice> choices() {
    return List.of();
  }

  /** "eos", "cancelled" or "length". */
  abstract String finishReason();

  abstract GenerationResult.Counts counts();

  /** Passes that only stored the prompt. */
  final int prefills() {
    return prefills;
  }

  /** Rows of all passes so far. */
  final long passRows() {
    return passRows;
  }

  /** Passes that gave logits. */
  final int denoises() {
    return denoises;
  }
}
