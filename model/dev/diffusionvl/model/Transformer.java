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
  private static final int FEW_ROWS = 64; // of a segment: more have enough blocks without sharing keys
  private static final int FEW_SEGMENTS = 9; // a block, or the finished one and the next one, or a block's state and its drafts

  private final TextConfig config;
  private final TextWeights weights;
  private final Kernels kernels;
  private final Stream stream;
  private final MatrixProduct products;
  private final AttentionWorkspace workspace; // for passes as small as a denoising one; null where there are none
  private final int maxRows;
  private final List<DeviceBuffer> owned = new ArrayList<>();
  private final DeviceBuffer hidden; // residual stream [rows, H]
  private final DeviceBuffer normed; // [rows, H]
  private final DeviceBuffer accumulators; // f32 result of the last product
  private final DeviceBuffer query; // [rows, heads, D]
  private final DeviceBuffer context; // [rows, heads, D]
  private final DeviceBuffer activated; // [rows, I]
  private final DeviceBuffer logits; // [block rows, V]

  /**
   * @param maxRows most rows of a pass
   * @param logitRows most rows whose logits are asked for
   */
  Transformer(Device device, DType dtype, TextConfig config, TextWeights weights, Kernels kernels, Stream stream, MatrixProduct products,
      int maxRows, int logitRows) {
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
    hidden = own(device.allocate("hidden state", dtype, maxRows, h));
    normed = own(device.allocate("normalised hidden state", dtype, maxRows, h));
    accumulators = own(device.allocate("accumulators", DType.F32, maxRows, widest));
    query = own(device.allocate("queries", dtype, maxRows, q));
    context = own(device.allocate("attention output", dtype, maxRows, q));
    activated = own(device.allocate("MLP activations", dtype, maxRows, config.intermediateSize()));
    logits = own(device.allocate("logits", dtype, logitRows, config.vocabSize()));
    workspace = dtype == DType.BF16 && logitRows <= FEW_ROWS
        ? new AttentionWorkspace(stream, config.heads(), config.kvHeads(), config.headDim(), FEW_SEGMENTS, logitRows) : null;
  }

  private DeviceBuffer own(DeviceBuffer buffer) {
    owned.add(buffer);
    return buffer;
  }

  /** The residual stream: fill its first rows with embeddings before {@link #forward}. */
  DeviceBuffer hidden() {
    return hidden;
  }

  /** After a pass: the rows behind the final norm. */
  DeviceBuffer normed() {
    return normed;
  }

  /** After {@link #computeLogits}: [rows, V]. */
  DeviceBuffer logits() {
    return logits;
  }

  /** Runs all layers and the final norm over the first {@code rows} rows; K and V land in the cache slots of the segments. */
  void forward(int rows, Segments segments, KvCache cache, RopeTable rope) {
    if (rows > maxRows) {
      throw new IllegalArgumentException("a pass of " + rows + " rows, scratch memory is for " + maxRows);
    }
    int h = config.hiddenSize();
    int inter = config.intermediateSize();
    int heads = config.heads();
    int kvHeads = config.kvHeads();
    int dim = config.headDim();
    float eps = (float) config.rmsNormEps();
    float scale = (float) (1 / Math.sqrt(dim));
    AttentionWorkspace sharedKeys = workspace != null && workspace.fits(segments) ? workspace : null;
    for (int i = 0; i < config.layers(); i++) {
      TextWeights.Layer w = weights.layers().get(i);
      // attention
      kernels.rmsNorm().launch(stream, hidden, w.inputNorm(), normed, rows, h, eps);
      multiply(normed, w.qkv(), rows);
      kernels.ropeKvAppend().launch(stream, accumulators, w.qkv().bias(), rope.cos(), rope.sin(), segments, query, cache.keys(i),
          cache.values(i), heads, kvHeads, dim, cache.slots());
      kernels.attention().launch(stream, query, cache.keys(i), cache.values(i), segments, context, heads, kvHeads, dim,
          cache.slots(), scale, sharedKeys);
      multiply(context, w.output(), rows);
      kernels.residualAdd().launch(stream, hidden, accumulators, null, rows, h);
      // MLP
      kernels.rmsNorm().launch(stream, hidden, w.postNorm(), normed, rows, h, eps);
      multiply(normed, w.gateUp(), rows);
      kernels.swiglu().launch(stream, accumulators, null, activated, rows, inter);
      multiply(activated, w.down(), rows);
      kernels.residualAdd().launch(stream, hidden, accumulators, null, rows, h);
    }
    kernels.rmsNorm().launch(stream, hidden, weights.finalNorm(), normed, rows, h, eps);
  }

  /** logits = final norm · headᵀ for the first {@code rows} rows of the last pass, rounded to the model's dtype as the reference does. */
  void computeLogits(int rows) {
    products.multiply(normed, weights.head(), logits, rows, config.vocabSize(), config.hiddenSize());
  }

  private void multiply(DeviceBuffer x, LinearWeights w, int rows) {
    products.multiply(x, w.weight(), accumulators, rows, w.out(), w.in());
  }

  @Override
  public void close() {
    owned.forEach(DeviceBuffer::close);
    if (workspace != null) {
      workspace.close();
    }
  }
}
