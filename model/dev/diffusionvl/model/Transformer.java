// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;


import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.MatrixProduct;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.AttentionWorkspace;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.Segments;
import java.util.ArrayList;
import java.util.List;

/**
 * The language model's forward pass over the rows of some segments (spec 6), with all of its scratch memory. One object serves one session:
 * prefill, denoising and store passes differ only in their segments.
 */
final class Transformer implements AutoCloseable {
  private static final int FEW_ROWS = 64; // of a block: more keep a GPU busy without sharing keys

  private final TextConfig config;
  private final TextWeights weights;
  private final Kernels kernels;
  private final Stream stream;
  private final MatrixProduct products;
  private final AttentionWorkspace workspace; // for the blocks being written; null where they are large
  private final int maxRows;
  private final List<Runnable> closers = new ArrayList<>();
  private final DeviceBuffer hidden; // residual stream [rows, H]
  private final DeviceBuffer normed; // [rows, H]
  private final DeviceBuffer accumulators; // f32 result of the last product
  private final DeviceBuffer query; // [rows, heads, D]
  private final DeviceBuffer context; // [rows, heads, D]
  private final DeviceBuffer activated; // [rows, I]
  private final DeviceBuffer logits; // [scored rows, V]

  /**
   * The rows of a pass, in the order of their parts.
   *
   * @param segments all of them
   * @param prompt the first segments: the prompt's blocks, many rows
   * @param written the others: blocks being written, few rows; which kernel attends for a row depends on its part alone, so that it has the same
   *     bits in every pass that carries it
   * @param scored the last of these: those whose logits are wanted; may be empty
   */
  record Rows(Segments segments, Segments prompt, Segments written, Segments scored) {
    /** Blocks of which all logits are wanted. */
    static Rows scored(Segments segments) {
      return new Rows(segments, segments.view(0, 0), segments, segments);
    }
  }

  /**
   * @param maxRows most rows of a pass
   * @param blockRows rows of a block that is written
   * @param variants most blocks of a pass whose logits are asked for
   */
  Transformer(Device device, DType dtype, TextConfig config, TextWeights weights, Kernels kernels, Stream stream, MatrixProduct products,
      int maxRows, int blockRows, int variants) {
    this.config = config;
    this.weights = weights;
    this.kernels = kernels;
    this.stream = stream;
    this.products = products;
    this.maxRows = maxRows;
    int h = config.hiddenSize();
    int q = config.heads() * config.headDim();
    int qkv = q + 2 * config.kvHeads() * config.headDim();
    int widest = Math.max(Math.max(qkv, 2 * config.intermediateSize()), h);
    try {
      hidden = own(device.allocate("hidden state", dtype, maxRows, h));
      normed = own(device.allocate("normalised hidden state", dtype, maxRows, h));
      accumulators = own(device.allocate("accumulators", DType.F32, maxRows, widest));
      query = own(device.allocate("queries", dtype, maxRows, q));
      context = own(device.allocate("attention output", dtype, maxRows, q));
      activated = own(device.allocate("MLP activations", dtype, maxRows, config.intermediateSize()));
      logits = own(device.allocate("logits", dtype, (long) blockRows * variants, config.vocabSize()));
      workspace = dtype == DType.BF16 && blockRows > 0 && blockRows <= FEW_ROWS ? own(new AttentionWorkspace(stream, config.heads(),
          config.kvHeads(), config.headDim(), Math.max(2, variants), blockRows)) : null;
    } catch (RuntimeException | Error e) {
      close(); // memory may have run out half-way
      throw e;
    }
  }

  private DeviceBuffer own(DeviceBuffer buffer) {
    closers.add(buffer::close);
    return buffer;
  }

  private AttentionWorkspace own(AttentionWorkspace part) {
    closers.add(part::close);
    return part;
  }

  /** The residual stream: fill its first rows with embeddings before {@link #forward}. */
  DeviceBuffer hidden() {
    return hidden;
  }

  /** After a pass: its scored rows behind the final norm, from row 0 on. */
  DeviceBuffer normed() {
    return normed;
  }

  /** After {@link #computeLogits}: [rows, V]. */
  DeviceBuffer logits() {
    return logits;
  }

  /**
   * Runs rows through the model. Keys and values of all of them land in their cache slots. Only the scored rows go all the way to the final norm:
   * what the last layer does behind its keys and values is of use to no other row.
   */
  void forward(Rows rows, KvCache cache, RopeTable rope) {
    int count = rows.segments().totalRows();
    if (count > maxRows) {
      throw new IllegalArgumentException("a pass of " + count + " rows, scratch memory is for " + maxRows);
    }
    int last = config.layers() - 1;
    for (int i = 0; i < last; i++) {
      storeKeysAndValues(i, rows.segments(), cache, rope);
      attend(i, rows.prompt(), null, cache);
      attend(i, rows.written(), workspace, cache);
      transform(i, 0, count);
    }
    storeKeysAndValues(last, rows.segments(), cache, rope);
    if (rows.scored().count() > 0) {
      int first = rows.scored().firstRow();
      attend(last, rows.scored(), workspace, cache);
      transform(last, first, count - first);
      kernels.rmsNorm().launch(stream, rowsOf(hidden, first), weights.finalNorm(), normed, count - first, config.hiddenSize(), eps());
    }
  }

  /** Norm, QKV product, rotation: leaves the queries in {@link #query}, keys and values in the cache. */
  private void storeKeysAndValues(int layer, Segments segments, KvCache cache, RopeTable rope) {
    TextWeights.Layer w = weights.layers().get(layer);
    int rows = segments.totalRows();
    kernels.rmsNorm().launch(stream, hidden, w.inputNorm(), normed, rows, config.hiddenSize(), eps());
    multiply(normed, w.qkv(), accumulators, rows);
    kernels.ropeKvAppend().launch(stream, accumulators, w.qkv().bias(), rope.cos(), rope.sin(), segments, query, cache.keys(layer),
        cache.values(layer), config.heads(), config.kvHeads(), config.headDim(), cache.slots());
  }

  /** From {@link #query} and the cache to {@link #context}. */
  private void attend(int layer, Segments segments, AttentionWorkspace sharedKeys, KvCache cache) {
    if (segments.count() > 0) {
      kernels.attention().launch(stream, query, cache.keys(layer), cache.values(layer), segments, context, config.heads(),
          config.kvHeads(), config.headDim(), cache.slots(), (float) (1 / Math.sqrt(config.headDim())), sharedKeys);
    }
  }

  /** Output projection and MLP over {@code rows} rows from {@code first} on. */
  private void transform(int layer, int first, int rows) {
    TextWeights.Layer w = weights.layers().get(layer);
    int h = config.hiddenSize();
    DeviceBuffer residual = rowsOf(hidden, first);
    multiply(rowsOf(context, first), w.output(), accumulators, rows);
    kernels.residualAdd().launch(stream, residual, accumulators, null, rows, h);
    kernels.rmsNorm().launch(stream, residual, w.postNorm(), normed, rows, h, eps());
    multiply(normed, w.gateUp(), accumulators, rows);
    kernels.swiglu().launch(stream, accumulators, null, activated, rows, config.intermediateSize());
    multiply(activated, w.down(), accumulators, rows);
    kernels.residualAdd().launch(stream, residual, accumulators, null, rows, h);
  }

  /** logits = final norm · headᵀ for the first {@code rows} scored rows, rounded to the model's dtype as the reference does. */
  void computeLogits(int rows) {
    products.multiply(normed, weights.head(), logits, rows, config.vocabSize(), config.hiddenSize());
  }

  private void multiply(DeviceBuffer x, LinearWeights w, DeviceBuffer y, int rows) {
    products.multiply(x, w.weight(), y, rows, w.out(), w.in());
  }

  private float eps() {
    return (float) config.rmsNormEps();
  }

  /** The buffer [rows, …] from row {@code first} on. */
  private static DeviceBuffer rowsOf(DeviceBuffer buffer, int first) {
    if (first == 0) {
      return buffer;
    }
    long[] shape = buffer.shape();
    long width = buffer.elements() / shape[0];
    shape[0] -= first;
    return buffer.slice(first * width, shape);
  }

  @Override
  public void close() {
    closers.forEach(Runnable::run);
  }
}
