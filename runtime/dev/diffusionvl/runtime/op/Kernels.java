// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.Device;

/** One launcher of each operation for a device; kernels are loaded on first use. Safe to share between threads. */
public final class Kernels {
  public final GatherRows gatherRows;
  public final RmsNorm rmsNorm;
  public final RopeKvAppend ropeKvAppend;
  public final VisionRotary visionRotary;
  public final Attention attention;
  public final Swiglu swiglu;
  public final ResidualAdd residualAdd;
  public final ResidualRmsNorm residualRmsNorm;
  public final BiasActivation biasActivation;
  public final Confidence confidence;
  public final Sample sample;
  public final Remask remask;
  public final FillNormal fillNormal;
  public final ReadSum readSum;
  public final LayerNorm layerNorm;
  public final ExtractPatches extractPatches;
  public final PositionEmbedding positionEmbedding;
  public final BlendRows blendRows;
  public final SkinnyGemm skinnyGemm;
  public final SkinnyConfidence skinnyConfidence;
  public final RowSquares rowSquares;
  public final SkinnySwiglu skinnySwiglu;
  public final SkinnyResidual skinnyResidual;
  public final SkinnyQkv skinnyQkv;
  public final ColumnSum columnSum;
  public final RmsNormBackward rmsNormBackward;
  public final LayerNormBackward layerNormBackward;
  public final SwigluBackward swigluBackward;
  public final ActivationBackward activationBackward;
  public final RopeBackward ropeBackward;
  public final ScatterAddRows scatterAddRows;
  public final CrossEntropy crossEntropy;
  public final Adamw adamw;
  public final GradientNorm gradientNorm;

  public Kernels(Device device) {
    gatherRows = new GatherRows(device);
    rmsNorm = new RmsNorm(device);
    ropeKvAppend = new RopeKvAppend(device);
    visionRotary = new VisionRotary(device);
    attention = new Attention(device);
    swiglu = new Swiglu(device);
    residualAdd = new ResidualAdd(device);
    residualRmsNorm = new ResidualRmsNorm(device);
    biasActivation = new BiasActivation(device);
    confidence = new Confidence(device);
    sample = new Sample(device);
    remask = new Remask(device);
    fillNormal = new FillNormal(device);
    readSum = new ReadSum(device);
    layerNorm = new LayerNorm(device);
    extractPatches = new ExtractPatches(device);
    positionEmbedding = new PositionEmbedding(device);
    blendRows = new BlendRows(device);
    skinnyGemm = new SkinnyGemm(device);
    skinnyConfidence = new SkinnyConfidence(device);
    rowSquares = new RowSquares(device);
    skinnySwiglu = new SkinnySwiglu(device);
    skinnyResidual = new SkinnyResidual(device);
    skinnyQkv = new SkinnyQkv(device);
    columnSum = new ColumnSum(device);
    rmsNormBackward = new RmsNormBackward(device);
    layerNormBackward = new LayerNormBackward(device);
    swigluBackward = new SwigluBackward(device);
    activationBackward = new ActivationBackward(device);
    ropeBackward = new RopeBackward(device);
    scatterAddRows = new ScatterAddRows(device);
    crossEntropy = new CrossEntropy(device);
    adamw = new Adamw(device);
    gradientNorm = new GradientNorm(device);
  }
}
