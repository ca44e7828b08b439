// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.AttentionWorkspace;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.Predictions;
import dev.diffusionvl.runtime.op.Segments;

/**
 * The language model's forward pass over the rows of some segments (docs/model.md, "Language model"), with all of its scratch memory. One
 * object serves one batch: prefill, denoising and store passes differ only in their segments.
 */
final class Transformer implements AutoCloseable {
  private static final int FEW_ROWS = 64; // of a block: more keep a GPU busy without sharing keys

  private final TextConfig config;
  private final TextWeights weights;
  private final Kernels kernels;
  private final Stream stream;
  private final GemmChoice gemm;
  private final DType dtype;
  private final DeviceScope owned;
  private final Activations activations;
  private final LayerOps plain;
  private final LayerOps fused; // null when no pass uses it
  private final AttentionWorkspace workspace; // for the blocks being written; null where they are large
  private final int maxRows;
  private LayerOps ops; // of the last pass
  private int firstScored; // row of the last pass
  private int embedded; // first rows of the next pass whose sums of squares are known

  /**
   * The rows of a pass, in the order of their parts.
   *
   * @param segments all of them
   * @param prompt the first segments: the prompt's blocks, many rows
   * @param written the others: blocks being written, few rows; which kernel attends for a row depends on its part alone, so that it has the
   *     same bits in every pass that carries it
   * @param scored the last of these: those whose logits are wanted; may be empty
   */
  record PassParts(Segments segments, Segments prompt, Segments written, Segments scored) {
    /** Blocks of which all logits are wanted. */
    static PassParts scored(Segments segments) {
      return new PassParts(segments, segments.view(0, 0), segments, segments);
    }
  }

  /**
   * @param maxRows most rows of a pass
   * @param blockRows rows of a block that is written
   * @param written most blocks of a pass that are written
   * @param scored most of them whose logits are asked for
   * @param keys most keys that a row of a block sees
   */
  Transformer(DType dtype, TextConfig config, TextWeights weights, Kernels kernels, Stream stream, LayerOpsFactory factory, int maxRows,
      int blockRows, int written, int scored, int keys) {
    this.config = config;
    this.dtype = dtype;
    this.weights = weights;
    this.kernels = kernels;
    this.stream = stream;
    this.maxRows = maxRows;
    gemm = factory.choice();
    try (DeviceScope scope = new DeviceScope(stream.device())) {
      activations = scope.own(new Activations(stream.device(), dtype, config, maxRows, blockRows * scored));
      plain = factory.plain(config, weights, stream, kernels, activations, scope.own(new ExpandedWeights(stream, kernels, weights, dtype)));
      fused = factory.fused(config, weights, stream, kernels, activations);
      workspace = sharesKeys(dtype, blockRows) ? scope.own(new AttentionWorkspace(stream, config.heads(),
          config.kvHeads(), config.headDim(), written, blockRows, keys, factory.overlap())) : null;
      owned = scope.keep();
    }
  }

  /** Whether blocks of so many rows share keys in an {@link AttentionWorkspace}. */
  static boolean sharesKeys(DType dtype, int blockRows) {
    return dtype != DType.F32 && blockRows > 0 && blockRows <= FEW_ROWS;
  }

  /** The residual stream: copy embeddings to its first rows, or {@link #embed} tokens there, before {@link #forward}. */
  DeviceBuffer hidden() {
    return activations.hidden();
  }

  /**
   * Embeds tokens as rows of the next pass.
   *
   * @param pick per row, where its id stands in {@code ids}; null: row by row
   * @param given an id of −1 − i takes row i of it
   */
  void embed(DeviceBuffer ids, DeviceBuffer pick, DeviceBuffer given, int first, int rows) {
    DeviceBuffer table = weights.embedding();
    DeviceBuffer squares = fused == null ? null : activations.squares().rowsFrom(first);
    kernels.gatherRows.launch(stream, table, pick, ids, given, activations.hidden().rowsFrom(first), squares, rows,
        config.hiddenSize(), (int) table.shape()[0]);
    embedded = first == 0 ? rows : embedded;
  }

  /** After {@link #computeLogits}: the scored rows behind the final norm, from row 0 on. */
  DeviceBuffer normed() {
    return activations.normed();
  }

  /** After {@link #computeLogits}: [rows, V]. */
  DeviceBuffer logits() {
    return activations.logits();
  }

  /**
   * Runs rows through the layers. Keys and values of all of them land in their cache slots. Only the scored rows go all the way to the end:
   * what the last layer does behind its keys and values is of use to no other row.
   */
  void forward(PassParts rows, KvCache cache, RopeTable rope) {
    int count = rows.segments().totalRows();
    if (count > maxRows) {
      throw new IllegalArgumentException("a pass of " + count + " rows, scratch memory is for " + maxRows);
    }
    ops = gemm.usesOwn(dtype, count) ? fused : plain;
    if (embedded < count) {
      ops.begin(count); // some rows were not embedded but copied
    }
    embedded = 0;
    int last = config.layers() - 1;
    for (int i = 0; i < last; i++) {
      storeKeysAndValues(i, rows.segments(), cache, rope);
      attend(i, rows.prompt(), null, cache);
      attend(i, rows.written(), workspace, cache);
      ops.transform(i, 0, count);
    }
    storeKeysAndValues(last, rows.segments(), cache, rope);
    if (rows.scored().count() > 0) {
      firstScored = rows.scored().firstRow();
      attend(last, rows.scored(), workspace, cache);
      ops.transform(last, firstScored, count - firstScored);
    }
  }

  private void storeKeysAndValues(int layer, Segments segments, KvCache cache, RopeTable rope) {
    ops.storeKeysAndValues(layer, segments, cache.layer(layer), rope.buffers());
  }

  /** From queries and cache to the attention output. */
  private void attend(int layer, Segments segments, AttentionWorkspace sharedKeys, KvCache cache) {
    if (segments.count() > 0) {
      kernels.attention.launch(stream, activations.query(), cache.layer(layer), segments, activations.context(),
          (float) (1 / Math.sqrt(config.headDim())), sharedKeys);
    }
  }

  /** logits = final norm · headᵀ of {@code rows} scored rows from {@code from} on, rounded to the model's dtype as the reference does. */
  void computeLogits(int from, int rows) {
    ops.computeLogits(firstScored + from, rows);
  }

  /**
   * The most likely token of {@code rows} scored rows from {@code from} on.
   *
   * @param excluded an id that is never taken, or −1
   * @param legal sets of tokens of these rows, as of {@link dev.diffusionvl.runtime.op.Confidence}; or null: all
   * @param predictions of all scored rows
   */
  void predict(int from, int rows, int excluded, DeviceBuffer legal, Predictions predictions) {
    ops.predict(firstScored + from, rows, excluded, legal, predictions.rowsFrom(from));
  }

  @Override
  public void close() {
    owned.close();
  }
}
