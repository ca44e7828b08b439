// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.op.Residual;
import dev.diffusionvl.runtime.op.RowSquares;
import dev.diffusionvl.runtime.op.SkinnyConfidence;

/** What the layers of a pass work on: [rows, …] each, from row 0 of the pass on. */
final class Activations implements AutoCloseable {
  private final DeviceScope owned;
  private final DeviceBuffer hidden;
  private final DeviceBuffer squares;
  private final Residual residual;
  private final DeviceBuffer normed;
  private final DeviceBuffer accumulators;
  private final DeviceBuffer product;
  private final DeviceBuffer query;
  private final DeviceBuffer context;
  private final DeviceBuffer activated;
  private final DeviceBuffer logits;
  private final DeviceBuffer parts;

  /** @param device null: for outlines, of which {@link #bytes} is known */
  Activations(Device device, DType dtype, TextConfig config, int rows, int scoredRows) {
    int h = config.hiddenSize();
    int q = config.heads() * config.headDim();
    int qkv = q + 2 * config.kvHeads() * config.headDim();
    try (DeviceScope scope = new DeviceScope(device)) {
      hidden = scope.allocate("hidden state", dtype, rows, h);
      squares = scope.allocate("sums of squares", DType.F32, rows, RowSquares.groups(h));
      residual = new Residual(hidden, squares);
      normed = scope.allocate("normalised hidden state", dtype, rows, h);
      accumulators = scope.allocate("accumulators", DType.F32, rows, qkv);
      product = scope.allocate("products", dtype, rows, Math.max(2 * config.intermediateSize(), h));
      query = scope.allocate("queries", dtype, rows, q);
      context = scope.allocate("attention output", dtype, rows, q);
      activated = scope.allocate("MLP activations", dtype, rows, config.intermediateSize());
      logits = scope.allocate("logits", dtype, scoredRows, config.vocabSize());
      parts = scope.allocate("parts of the vocabulary", DType.F32, SkinnyConfidence.parts(scoredRows, config.vocabSize()));
      owned = scope.keep();
    }
  }

  /** The residual stream [rows, H]. */
  DeviceBuffer hidden() {
    return hidden;
  }

  /** Sums of squares of the residual stream by groups of columns; only fused layers keep them. */
  DeviceBuffer squares() {
    return squares;
  }

  /** The residual stream with its sums of squares. */
  Residual residual() {
    return residual;
  }

  /** Input of a product behind a norm [rows, H]; at the end, the scored rows behind the final norm. */
  DeviceBuffer normed() {
    return normed;
  }

  /** F32 sums of the queries, keys and values, which a bias has to be added to [rows, (heads + 2 kv heads) · D]. */
  DeviceBuffer accumulators() {
    return accumulators;
  }

  /** Result of a product without a bias, rounded [rows, 2 I or H]. */
  DeviceBuffer product() {
    return product;
  }

  /** [rows, heads, D]. */
  DeviceBuffer query() {
    return query;
  }

  /** [rows, heads, D]: attention output. */
  DeviceBuffer context() {
    return context;
  }

  /** [rows, I]. */
  DeviceBuffer activated() {
    return activated;
  }

  /** [scored rows, V]. */
  DeviceBuffer logits() {
    return logits;
  }

  /** Scratch of the product that keeps the most likely token only. */
  DeviceBuffer parts() {
    return parts;
  }

  /** Bytes of all of it. */
  long bytes() {
    return owned.bytes();
  }

  @Override
  public void close() {
    owned.close();
  }
}
