// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.Device;

/** One launcher of each operation for a device; kernels are loaded on first use. Safe to share between threads. */
public final class Kernels {
  private final Device device;

  public final GatherRows gatherRows = new GatherRows(device);
  public final RmsNorm rmsNorm = new RmsNorm(device);
  public final RopeKvAppend ropeKvAppend = new RopeKvAppend(device);
  public final VisionRotary visionRotary = new VisionRotary(device);
  public final Attention attention = new Attention(device);
  public final Swiglu swiglu = new Swiglu(device);
  public final ResidualAdd residualAdd = new ResidualAdd(device);
  public final ResidualRmsNorm residualRmsNorm = new ResidualRmsNorm(device);
  public final BiasActivation biasActivation = new BiasActivation(device);
  public final Confidence confidence = new Confidence(device);
  public final Sample sample = new Sample(device);
  public final Remask remask = new Remask(device);
  public final FillNormal fillNormal = new FillNormal(device);
  public final ReadSum readSum = new ReadSum(device);
  public final LayerNorm layerNorm = new LayerNorm(device);
  public final ExtractPatches extractPatches = new ExtractPatches(device);
  public final PositionEmbedding positionEmbedding = new PositionEmbedding(device);
  public final BlendRows blendRows = new BlendRows(device);
  public final SkinnyGemm skinnyGemm = new SkinnyGemm(device);
  public final SkinnyConfidence skinnyConfidence = new SkinnyConfidence(device);
  public final PackWeights packWeights = new PackWeights(device);
  public final ExpandWeights expandWeights = new ExpandWeights(device);
  public final RowSquares rowSquares = new RowSquares(device);
  public final SkinnySwiglu skinnySwiglu = new SkinnySwiglu(device);
  public final SkinnyResidual skinnyResidual = new SkinnyResidual(device);
  public final SkinnyQkv skinnyQkv = new SkinnyQkv(device);
  public final ColumnSum columnSum = new ColumnSum(device);
  public final RmsNormBackward rmsNormBackward = new RmsNormBackward(device);
  public final LayerNormBackward layerNormBackward = new LayerNormBackward(device);
  public final SwigluBackward swigluBackward = new SwigluBackward(device);
  public final ActivationBackward activationBackward = new ActivationBackward(device);
  public final RopeBackward ropeBackward = new RopeBackward(device);
  public final AttentionBackward attentionBackward = new AttentionBackward(device);
  public final ScatterAddRows scatterAddRows = new ScatterAddRows(device);
  public final CrossEntropy crossEntropy = new CrossEntropy(device);
  public final Adamw adamw = new Adamw(device);
  public final Adamw8bit adamw8bit = new Adamw8bit(device);
  public final GradientNorm gradientNorm = new GradientNorm(device);

  public Kernels(Device device) {
    this.device = device; // before the fields are made
    super();
  }
}
