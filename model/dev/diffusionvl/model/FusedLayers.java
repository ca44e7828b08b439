// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.Segments;
import dev.diffusionvl.runtime.op.SkinnyQkv;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;

/**
 * Layers by our own products, everything elementwise fused to them: with attention five kernels a layer. A row has the same bits in every
 * pass. The sums of squares that a norm needs are left by whoever writes the residual stream.
 */
final class FusedLayers implements LayerOps {
  /** Attention leaves the memory idle: with overlapping launches the whole of a block's part of the output projection comes meanwhile. */
  private static final int AHEAD_OF_OUTPUT = 4;

  private final TextConfig config;
  private final Stream stream;
  private final Kernels kernels;
  private final SkinnyWorkspace workspace;
  private final Activations a;
  private final float eps;

  FusedLayers(TextConfig config, Stream stream, Kernels kernels, SkinnyWorkspace workspace, Activations activations) {
    this.config = config;
    this.stream = stream;
    this.kernels = kernels;
    this.workspace = workspace;
    this.a = activations;
    this.eps = (float) config.rmsNormEps();
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
  public void storeKeysAndValues(TextWeights.Layer layer, Segments segments, DeviceBuffer keys, DeviceBuffer values, int slots,
      RopeTable rope) {
    kernels.skinnyQkv.launch(stream, workspace, a.hidden(), a.squares(), layer.inputNorm(), eps, layer.qkv().weight(), layer.qkv().bias(),
        rope.cos(), rope.sin(), segments, a.query(), keys, values, config.heads(), config.kvHeads(), slots, config.hiddenSize());
  }

  @Override
  public void transform(TextWeights.Layer layer, int first, int rows) {
    DeviceBuffer residual = Activations.from(a.hidden(), first);
    DeviceBuffer squares = Activations.from(a.squares(), first);
    int h = config.hiddenSize();
    int inter = config.intermediateSize();
    kernels.skinnyResidual.launch(stream, workspace, Activations.from(a.context(), first), layer.output().weight(), residual, squares,
        rows, h, layer.output().in(), AHEAD_OF_OUTPUT);
    kernels.skinnySwiglu.launch(stream, workspace, residual, squares, layer.postNorm(), eps, layer.gateUp().weight(), a.activated(), rows,
        inter, h);
    kernels.skinnyResidual.launch(stream, workspace, a.activated(), layer.down().weight(), residual, squares, rows, h, inter);
  }

  @Override
  public void computeLogits(TextWeights weights, int first, int rows) {
    int h = config.hiddenSize();
    kernels.rmsNorm.launch(stream, Activations.from(a.hidden(), first), weights.finalNorm(), a.normed(), rows, h, eps);
    kernels.skinnyGemm.launch(stream, workspace, a.normed(), weights.head(), a.logits(), rows, config.vocabSize(), h);
  }

  @Override
  public void predict(TextWeights weights, int first, int rows, int excluded, Predictions to) {
    kernels.skinnyConfidence.launch(stream, workspace, Activations.from(a.hidden(), first), Activations.from(a.squares(), first),
        weights.finalNorm(), eps, weights.head(), a.parts(), to.token(), to.probability(), to.rowMax(), to.rowSumExp(), rows,
        config.vocabSize(), config.hiddenSize(), excluded);
  }
}
