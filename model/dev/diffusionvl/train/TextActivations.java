// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.op.Heads;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.RmsNormBackward;
import java.util.ArrayList;
import java.util.List;

/** What a training pass over the language model keeps for the way back, and what it works on: [rows, …] each. */
final class TextActivations implements AutoCloseable {
  /** Rows whose logits are in memory at a time. */
  static final int LOGIT_ROWS = 128;

  private static final int ROUND = 64;

  /**
   * What a layer keeps. With recomputation all layers share one of these.
   *
   * @param query [rows, heads, D], rotated
   * @param keyValues of all rows; a row's slot is its number, and a pass has as many slots as rows
   * @param context [rows, heads, D]: attention output
   * @param logSumExp F32 [rows, heads]: of the attention's scores
   * @param middle [rows, H]: the residual stream between attention and MLP
   * @param gateUp [rows, 2 I]
   */
  record Layer(DeviceBuffer query, KeyValues keyValues, DeviceBuffer context, DeviceBuffer logSumExp, DeviceBuffer middle,
      DeviceBuffer gateUp) {}

  private final DeviceScope scope;
  private final DType dtype;
  private final TextConfig config;
  private final int rows;
  private final int targets;
  private final List<DeviceBuffer> inputs = new ArrayList<>();
  private final List<Layer> layers = new ArrayList<>();
  final DeviceBuffer normed;
  final DeviceBuffer accumulators;
  final DeviceBuffer product;
  final DeviceBuffer activated;
  final DeviceBuffer dHidden;
  final DeviceBuffer dNormed;
  final DeviceBuffer dActivated;
  final DeviceBuffer dContext;
  final DeviceBuffer dQuery;
  final KeyValues dKeyValues;
  final DeviceBuffer dQkv;
  final DeviceBuffer delta;
  final DeviceBuffer scratch;
  final DeviceBuffer learning;
  final DeviceBuffer learningNormed;
  final DeviceBuffer dLearning;
  final DeviceBuffer dLearningNormed;
  final DeviceBuffer logits;
  final DeviceBuffer losses;
  final DeviceBuffer low; // this and the next: null without adapters
  final DeviceBuffer dLow;

  /**
   * @param memory that becomes this object's
   * @param rows most rows of a pass
   * @param targets most targets of a pass
   * @param recompute keep only what goes into the layers, and compute the rest again on the way back
   * @param rank of adapters; 0: there are none
   */
  TextActivations(TrainingMemory memory, DType dtype, TextConfig config, int rows, int targets, boolean recompute, int rank) {
    this.dtype = dtype;
    this.config = config;
    this.rows = rows;
    this.targets = targets;
    int h = config.hiddenSize();
    int inter = config.intermediateSize();
    int q = config.heads() * config.headDim();
    int qkv = q + 2 * config.kvHeads() * config.headDim();
    try (memory) {
      for (int i = 0; i <= config.layers(); i++) {
        inputs.add(memory.own("layer input", dtype, rows, h));
      }
      for (int i = 0; i < config.layers(); i++) {
        layers.add(i > 0 && recompute ? layers.getFirst() : layer(memory, q, h, inter));
      }
      normed = memory.own("normalised rows", dtype, rows, h);
      accumulators = memory.own("accumulators", DType.F32, rows, qkv);
      product = memory.own("products", dtype, rows, h);
      activated = memory.own("MLP activations", dtype, rows, inter);
      dHidden = memory.own("gradient of the residual stream", dtype, rows, h);
      dNormed = memory.own("gradient behind a norm", dtype, rows, h);
      dActivated = memory.own("gradient of the MLP activations", dtype, rows, inter);
      dContext = memory.own("gradient of the attention output", dtype, rows, q);
      dQuery = memory.own("gradient of the queries", dtype, rows, q);
      dKeyValues = keyValues(memory, "gradient of the keys", "gradient of the values");
      dQkv = memory.own("gradient of queries, keys and values", dtype, rows, qkv);
      delta = memory.own("attention delta", DType.F32, rows, config.heads());
      scratch = memory.own("norm scratch", DType.F32, RmsNormBackward.scratch(rows, h));
      learning = memory.own("learning rows", dtype, targets, h);
      learningNormed = memory.own("learning rows, normalised", dtype, targets, h);
      dLearning = memory.own("gradient of the learning rows", dtype, targets, h);
      dLearningNormed = memory.own("gradient behind the final norm", dtype, targets, h);
      logits = memory.own("logits", dtype, Math.min(targets, LOGIT_ROWS), config.vocabSize());
      losses = memory.own("losses", DType.F32, targets);
      low = rank == 0 ? null : memory.own("low-rank products", dtype, rows, rank);
      dLow = rank == 0 ? null : memory.own("gradient of the low-rank products", dtype, rows, rank);
      scope = memory.keep();
    }
  }

  private Layer layer(TrainingMemory memory, int q, int h, int inter) {
    return new Layer(memory.own("queries", dtype, rows, q), keyValues(memory, "keys", "values"),
        memory.own("attention output", dtype, rows, q), memory.own("log-sum-exp", DType.F32, rows, config.heads()),
        memory.own("middle of the layer", dtype, rows, h),
        memory.own("gate and up", dtype, rows, 2L * inter));
  }

  private KeyValues keyValues(TrainingMemory memory, String keys, String values) {
    Heads heads = new Heads(config.heads(), config.kvHeads(), config.headDim());
    return new KeyValues(memory.own(keys, dtype, config.kvHeads(), rows, config.headDim()),
        memory.own(values, dtype, config.kvHeads(), rows, config.headDim()), heads, rows);
  }

  /** So many rows and some more, so that a slightly longer record still fits. */
  static int rounded(int rows) {
    return (int) Math.min(Integer.MAX_VALUE, (rows + (ROUND - 1L)) / ROUND * ROUND);
  }

  /** What goes into a layer [rows, H]; at the number of layers, what comes out of the last one. */
  DeviceBuffer input(int layer) {
    return inputs.get(layer);
  }

  Layer layer(int layer) {
    return layers.get(layer);
  }

  int rows() {
    return rows;
  }

  /** Most targets of a pass. */
  int targets() {
    return targets;
  }

  @Override
  public void close() {
    scope.close();
  }
}
