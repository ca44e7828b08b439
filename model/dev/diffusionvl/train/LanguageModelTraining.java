// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.ExpandedWeights;
import dev.diffusionvl.model.Linear;
import dev.diffusionvl.model.RopeTable;
import dev.diffusionvl.model.TextWeights;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.Predictions;
import dev.diffusionvl.runtime.op.Segments;

/**
 * The language model's way forward and back for one pass, written out layer by layer (docs/model.md, "Language model" and "Training
 * objective").
 *
 * <pre>
 *   forward   x = embedding
 *             per layer:  m = x + O attention(rope(QKV norm(x)))      x' = m + down swiglu(gate, up of norm(m))
 *             loss = Σ weight cross-entropy(head norm(x), label)      over the targets, some rows of logits at a time
 *   backward  the same lines from the last to the first
 * </pre>
 *
 * <p>What the last layer does for rows that only serve as context is left out, behind their keys and values: nothing depends on it.
 */
final class LanguageModelTraining {
  private final TextConfig config;
  private final TextWeights weights;
  private final Kernels kernels;
  private final Stream stream;
  private final Twin gradients;
  private final LinearTraining linear;
  private final boolean recompute;
  private final float eps;
  private final float scale;

  /**
   * @param gradients to which the gradients of the weights are added; a weight without a place there is not trained
   * @param adapters of the projections; null: none
   * @param expanded for packed weights, on the way forward; null: all are dense
   */
  LanguageModelTraining(DiffusionVl model, Stream stream, Gemm gemm, Twin gradients, Adapters adapters, ExpandedWeights expanded,
      boolean recompute) {
    this.config = model.config().text();
    this.weights = model.text();
    this.kernels = model.kernels();
    this.stream = stream;
    this.gradients = gradients;
    this.linear = new LinearTraining(kernels, stream, gemm, gradients, adapters, expanded);
    this.recompute = recompute;
    this.eps = (float) config.rmsNormEps();
    this.scale = (float) (1 / Math.sqrt(config.headDim()));
  }

  /**
   * Loss and gradients of one pass.
   *
   * @param features [feature rows, H], image rows of the pass; null if there are none
   * @param dFeatures F32, shape of features: their gradient is added to it; null if it is not wanted
   * @param a large enough for the pass; the losses of the targets are left there
   */
  void run(DevicePass pass, DeviceBuffer features, DeviceBuffer dFeatures, RopeTable rope, TextActivations a) {
    embed(pass, features, a);
    int last = config.layers() - 1;
    for (int i = 0; i < config.layers(); i++) {
      forward(i, i == last ? pass.firstLearning() : 0, pass, rope, a, LayerInputs.NONE);
    }
    learn(pass, a);
    for (int i = last; i >= 0; i--) {
      int first = i == last ? pass.firstLearning() : 0;
      if (recompute && i < last) {
        forward(i, first, pass, rope, a, LayerInputs.NONE);
      }
      backward(i, first, pass, rope, a);
    }
    unembed(pass, features, dFeatures, a);
  }

  /** Hears logits [count, V], which stay until the next kernel is queued. */
  @FunctionalInterface
  interface LogitRows {
    void hear(DeviceBuffer logits, int count);
  }

  /**
   * The way forward alone, of all rows through all layers.
   *
   * @param a as for {@link #run}
   * @param inputs hears what goes into each linear layer
   * @param logits hears the logits of the targets, some rows after the others
   * @param to gets the most likely token at each target
   * @param excluded an id that is never taken, or −1
   */
  void predict(DevicePass pass, DeviceBuffer features, RopeTable rope, TextActivations a, LayerInputs inputs, LogitRows logits,
      Predictions to, int excluded) {
    embed(pass, features, a);
    for (int i = 0; i < config.layers(); i++) {
      forward(i, 0, pass, rope, a, inputs);
    }
    normTargets(pass, a);
    inputs.hear(config.layers(), LayerInputs.Place.HEAD, a.learningNormed, pass.targets());
    for (int first = 0; first < pass.targets(); first += TextActivations.LOGIT_ROWS) {
      int count = Math.min(TextActivations.LOGIT_ROWS, pass.targets() - first);
      linear.forward(weights.head(), a.learningNormed.rowsFrom(first), a.logits, count);
      logits.hear(a.logits, count);
      kernels.confidence.launch(stream, a.logits, to.rowsFrom(first), count, config.vocabSize(), excluded);
    }
  }

  private void embed(DevicePass pass, DeviceBuffer features, TextActivations a) {
    int h = config.hiddenSize();
    kernels.gatherRows.launch(stream, weights.embedding(), pass.tokens(), null, a.input(0), pass.rows(), h, config.vocabSize());
    if (features != null) {
      kernels.gatherRows.launch(stream, features, pass.features(), null, a.input(0), pass.rows(), h, (int) features.shape()[0]);
    }
  }

  private void unembed(DevicePass pass, DeviceBuffer features, DeviceBuffer dFeatures, TextActivations a) {
    DeviceBuffer table = gradients.of(weights.embedding());
    if (table != null) {
      pass.tokenRows().add(kernels, stream, a.dHidden, table, config.hiddenSize());
    }
    if (features != null && dFeatures != null) {
      pass.featureRows().add(kernels, stream, a.dHidden, dFeatures, config.hiddenSize());
    }
  }

  /** @param first row that goes through the layer; the rows before it leave their keys and values only */
  private void forward(int index, int first, DevicePass pass, RopeTable rope, TextActivations a, LayerInputs inputs) {
    TextWeights.Layer w = weights.layers().get(index);
    TextActivations.Layer kept = a.layer(index);
    DeviceBuffer x = a.input(index);
    int h = config.hiddenSize();
    int rows = pass.rows();
    kernels.rmsNorm.launch(stream, x, w.inputNorm(), a.normed, rows, h, eps);
    inputs.hear(index, LayerInputs.Place.QKV, a.normed, rows);
    linear.forward(w.qkv(), a.normed, a.accumulators, rows);
    kernels.ropeKvAppend.launch(stream, a.accumulators, w.qkv().bias(), rope.buffers(), pass.segments(), kept.query(),
        kept.keyValues().withSlots(rows));
    Segments attending = first == 0 ? pass.segments() : pass.learningSegments();
    kernels.attention.launchForTraining(stream, kept.query(), kept.keyValues().withSlots(rows), attending, kept.context(), kept.logSumExp(),
        scale);

    int count = rows - first;
    DeviceBuffer middle = kept.middle().rowsFrom(first);
    DeviceBuffer out = a.input(index + 1).rowsFrom(first);
    inputs.hear(index, LayerInputs.Place.OUTPUT, kept.context().rowsFrom(first), count);
    linear.forward(w.output(), kept.context().rowsFrom(first), a.product, count);
    copyRows(x.rowsFrom(first), middle, count);
    kernels.residualAdd.launch(stream, middle, a.product, null, count, h);
    kernels.rmsNorm.launch(stream, middle, w.postNorm(), a.normed, count, h, eps);
    inputs.hear(index, LayerInputs.Place.GATE_UP, a.normed, count);
    linear.forward(w.gateUp(), a.normed, kept.gateUp().rowsFrom(first), count);
    kernels.swiglu.launch(stream, kept.gateUp().rowsFrom(first), null, a.activated, count, config.intermediateSize());
    inputs.hear(index, LayerInputs.Place.DOWN, a.activated, count);
    linear.forward(w.down(), a.activated, a.product, count);
    copyRows(middle, out, count);
    kernels.residualAdd.launch(stream, out, a.product, null, count, h);
  }

  /** From the last layer's output to the losses, and back: dHidden becomes the gradient of the last layer's output. */
  private void learn(DevicePass pass, TextActivations a) {
    int h = config.hiddenSize();
    int targets = pass.targets();
    normTargets(pass, a);
    for (int first = 0; first < targets; first += TextActivations.LOGIT_ROWS) {
      int count = Math.min(TextActivations.LOGIT_ROWS, targets - first);
      DeviceBuffer normed = a.learningNormed.rowsFrom(first);
      linear.forward(weights.head(), normed, a.logits, count);
      kernels.crossEntropy.launch(stream, a.logits, pass.labels().slice(first, count), pass.weights().slice(first, count),
          a.losses.slice(first, count), count, config.vocabSize());
      linear.backward(weights.head(), normed, a.logits, a.dLearningNormed.rowsFrom(first), count);
    }
    stream.fill(a.dLearning, 0);
    normBackward(a.learning, weights.finalNorm(), a.dLearningNormed, a.dLearning, targets, a);
    stream.fill(a.dHidden, 0);
    kernels.gatherRows.launch(stream, a.dLearning, pass.targetOfRow(), null, a.dHidden, pass.rows(), h, Math.max(1, targets));
  }

  /** The rows that something is learnt at, behind the final norm. */
  private void normTargets(DevicePass pass, TextActivations a) {
    int h = config.hiddenSize();
    kernels.gatherRows.launch(stream, a.input(config.layers()), pass.targetRows(), null, a.learning, pass.targets(), h, pass.rows());
    kernels.rmsNorm.launch(stream, a.learning, weights.finalNorm(), a.learningNormed, pass.targets(), h, eps);
  }

  private void backward(int index, int first, DevicePass pass, RopeTable rope, TextActivations a) {
    TextWeights.Layer w = weights.layers().get(index);
    TextActivations.Layer kept = a.layer(index);
    int h = config.hiddenSize();
    int inter = config.intermediateSize();
    int rows = pass.rows();
    int count = rows - first;
    DeviceBuffer dOut = a.dHidden.rowsFrom(first);
    DeviceBuffer gateUp = kept.gateUp().rowsFrom(first);
    DeviceBuffer middle = kept.middle().rowsFrom(first);

    kernels.swiglu.launch(stream, gateUp, null, a.activated, count, inter);
    linear.backward(w.down(), a.activated, dOut, a.dActivated, count);
    kernels.swigluBackward.launch(stream, gateUp, a.dActivated, gateUp, count, inter);
    kernels.rmsNorm.launch(stream, middle, w.postNorm(), a.normed, count, h, eps);
    linear.backward(w.gateUp(), a.normed, gateUp, a.dNormed, count);
    normBackward(middle, w.postNorm(), a.dNormed, dOut, count, a);

    linear.backward(w.output(), kept.context().rowsFrom(first), dOut, a.dContext.rowsFrom(first), count);
    if (first > 0) {
      stream.fill(a.dQuery, 0); // of rows that do not attend
    }
    Segments attending = first == 0 ? pass.segments() : pass.learningSegments();
    KeyValues dKeyValues = a.dKeyValues.withSlots(rows);
    kernels.attentionBackward.launch(stream, kept.query(), kept.keyValues().withSlots(rows), attending, kept.context(), kept.logSumExp(),
        a.dContext, a.dQuery, dKeyValues, a.delta, scale);
    kernels.ropeBackward.launch(stream, a.dQuery, dKeyValues, rope.buffers(), pass.segments(), a.dQkv);
    kernels.rmsNorm.launch(stream, a.input(index), w.inputNorm(), a.normed, rows, h, eps);
    linear.backward(w.qkv(), a.normed, a.dQkv, a.dNormed, rows);
    normBackward(a.input(index), w.inputNorm(), a.dNormed, a.dHidden, rows, a);
  }

  /** Adds the gradient of x to dx. */
  private void normBackward(DeviceBuffer x, DeviceBuffer weight, DeviceBuffer dy, DeviceBuffer dx, int rows, TextActivations a) {
    kernels.rmsNormBackward.launch(stream, x, weight, dy, dx, gradients.of(weight), a.scratch, rows, config.hiddenSize(), eps);
  }

  private void copyRows(DeviceBuffer source, DeviceBuffer target, int rows) {
    long elements = (long) rows * config.hiddenSize();
    stream.copy(source.slice(0, elements), target.slice(0, elements));
  }
}
