// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.Predictions;
import dev.diffusionvl.runtime.op.Rope;
import dev.diffusionvl.runtime.op.Segments;

/**
 * Layers by cuBLAS with an elementwise kernel behind every product. A product that gets a bias leaves f32 accumulators; the others are
 * rounded when they are stored, which is what the reference does to them first of all and halves the bytes between the two.
 */
final class PlainLayers implements LayerOps {
  private final TextConfig config;
  private final TextWeights weights;
  private final Stream stream;
  private final Kernels kernels;
  private final Gemm gemm;
  private final Activations a;
  private final ExpandedWeights expanded;
  private final float eps;

  PlainLayers(TextConfig config, TextWeights weights, Stream stream, Kernels kernels, Gemm gemm, Activations activations,
      ExpandedWeights expanded) {
    this.config = config;
    this.weights = weights;
    this.stream = stream;
    this.kernels = kernels;
    this.gemm = gemm;
    this.a = activations;
    this.expanded = expanded;
    this.eps = (float) config.rmsNormEps();
  }

  @Override
  public void begin(int rows) {}

  @Override
  public void storeKeysAndValues(int index, Segments segments, KeyValues kv, Rope rope) {
    TextWeights.Layer layer = weights.layers().get(index);
    int rows = segments.totalRows();
    kernels.rmsNorm.launch(stream, a.hidden(), layer.inputNorm(), a.normed(), rows, config.hiddenSize(), eps);
    expanded.dense(layer.qkv()).multiply(gemm, a.normed(), a.accumulators(), rows);
    kernels.ropeKvAppend.launch(stream, a.accumulators(), layer.qkv().bias(), rope, segments, a.query(), kv);
  }

  @Override
  public void transform(int index, int first, int rows) {
    TextWeights.Layer layer = weights.layers().get(index);
    int h = config.hiddenSize();
    DeviceBuffer residual = a.hidden().rowsFrom(first);
    expanded.dense(layer.output()).multiply(gemm, a.context().rowsFrom(first), a.product(), rows);
    kernels.residualRmsNorm.launch(stream, residual, a.product(), null, layer.postNorm(), a.normed(), rows, h, eps);
    expanded.dense(layer.gateUp()).multiply(gemm, a.normed(), a.product(), rows);
    kernels.swiglu.launch(stream, a.product(), null, a.activated(), rows, config.intermediateSize());
    expanded.dense(layer.down()).multiply(gemm, a.activated(), a.product(), rows);
    kernels.residualAdd.launch(stream, residual, a.product(), null, rows, h);
  }

  @Override
  public void computeLogits(int first, int rows) {
    kernels.rmsNorm.launch(stream, a.hidden().rowsFrom(first), weights.finalNorm(), a.normed(), rows, config.hiddenSize(),
        eps);
    expanded.dense(weights.head()).multiply(gemm, a.normed(), a.logits(), rows);
  }

  @Override
  public void predict(int first, int rows, int excluded, DeviceBuffer legal, Predictions to) {
    computeLogits(first, rows);
    kernels.confidence.launch(stream, a.logits(), to, rows, config.vocabSize(), excluded, legal);
  }
}
