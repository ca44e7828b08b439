// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.NormedLinear;
import dev.diffusionvl.runtime.op.Predictions;
import dev.diffusionvl.runtime.op.Residual;
import dev.diffusionvl.runtime.op.Rope;
import dev.diffusionvl.runtime.op.Segments;
import dev.diffusionvl.runtime.op.SkinnyQkv;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;
import dev.diffusionvl.runtime.op.WeightMatrix;

/**
 * Layers by our own products, everything elementwise fused to them: with attention five kernels per layer. A row has the same bits in every
 * pass. The sums of squares that a norm needs are left by the kernel that writes the residual stream.
 */
final class FusedLayers implements LayerOps {
  private final TextConfig config;
  private final Stream stream;
  private final Kernels kernels;
  private final SkinnyWorkspace workspace;
  private final Activations a;
  private final NormedLinear[] qkv; // by layer
  private final NormedLinear[] gateUp; // by layer
  private final WeightMatrix[] output; // by layer
  private final WeightMatrix[] down; // by layer
  private final NormedLinear head;

  FusedLayers(TextConfig config, TextWeights weights, Stream stream, Kernels kernels, SkinnyWorkspace workspace, Activations activations) {
    this.config = config;
    this.stream = stream;
    this.kernels = kernels;
    this.workspace = workspace;
    this.a = activations;
    float eps = (float) config.rmsNormEps();
    qkv = weights.layers().stream().map(layer -> normed(layer.inputNorm(), eps, layer.qkv(), false)).toArray(NormedLinear[]::new);
    gateUp = weights.layers().stream().map(layer -> normed(layer.postNorm(), eps, layer.gateUp(), true)).toArray(NormedLinear[]::new);
    output = weights.layers().stream().map(layer -> matrix(layer.output(), false)).toArray(WeightMatrix[]::new);
    down = weights.layers().stream().map(layer -> matrix(layer.down(), false)).toArray(WeightMatrix[]::new);
    head = normed(weights.finalNorm(), eps, weights.head(), false);
  }

  private NormedLinear normed(DeviceBuffer norm, float eps, Linear linear, boolean paired) {
    return new NormedLinear(norm, eps, matrix(linear, paired), linear.bias());
  }

  private WeightMatrix matrix(Linear linear, boolean paired) {
    return workspace.bulk() ? linear.matrix().mapped(paired) : linear.matrix();
  }

  /** Whether the kernels are made for a model of these sizes; those of the released checkpoints are. */
  static boolean support(TextConfig config) {
    return config.headDim() == SkinnyQkv.HEAD_DIM && config.hiddenSize() % 8 == 0 && config.intermediateSize() % 8 == 0;
  }

  @Override
  public void begin(int rows) {
    kernels.rowSquares.launch(stream, a.hidden(), a.squares(), rows, config.hiddenSize());
  }

  @Override
  public void storeKeysAndValues(int layer, Segments segments, KeyValues kv, Rope rope) {
    kernels.skinnyQkv.launch(stream, workspace, a.residual(), qkv[layer], rope, segments, a.query(), kv);
  }

  @Override
  public void transform(int layer, int first, int rows) {
    Residual residual = a.residual().rowsFrom(first);
    kernels.skinnyResidual.launch(stream, workspace, a.context().rowsFrom(first), output[layer], residual, rows);
    kernels.skinnySwiglu.launch(stream, workspace, residual, gateUp[layer], a.activated(), rows);
    kernels.skinnyResidual.launch(stream, workspace, a.activated(), down[layer], residual, rows);
  }

  @Override
  public void computeLogits(int first, int rows) {
    kernels.rmsNorm.launch(stream, a.hidden().rowsFrom(first), head.norm(), a.normed(), rows, head.in(), head.eps());
    kernels.skinnyGemm.launch(stream, workspace, a.normed(), head.weight(), a.logits(), rows);
  }

  @Override
  public void predict(int first, int rows, int excluded, DeviceBuffer legal, Predictions to) {
    kernels.skinnyConfidence.launch(stream, workspace, a.residual().rowsFrom(first), head, a.parts(), to, rows, excluded, legal);
  }
}
