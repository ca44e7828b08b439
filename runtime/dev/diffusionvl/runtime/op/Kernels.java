// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;


import dev.diffusionvl.runtime.Device;

/** One launcher of each operation for a device; kernels are loaded on first use. Safe to share between threads. */
public final class Kernels {
  private final GatherRows gatherRows;
  private final RmsNorm rmsNorm;
  private final RopeKvAppend ropeKvAppend;
  private final VisionRotary visionRotary;
  private final Attention attention;
  private final Swiglu swiglu;
  private final ResidualAdd residualAdd;
  private final ResidualRmsNorm residualRmsNorm;
  private final BiasActivation biasActivation;
  private final Confidence confidence;
  private final Sample sample;
  private final Remask remask;
  private final FillNormal fillNormal;
  private final ReadSum readSum;
  private final LayerNorm layerNorm;
  private final ExtractPatches extractPatches;
  private final PositionEmbedding positionEmbedding;
  private final BlendRows blendRows;
  private final SkinnyGemm skinnyGemm;
  private final SkinnyConfidence skinnyConfidence;
  private final RowSquares rowSquares;
  private final SkinnySwiglu skinnySwiglu;
  private final SkinnyResidual skinnyResidual;
  private final SkinnyQkv skinnyQkv;

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
  }

  public GatherRows gatherRows() {
    return gatherRows;
  }

  public RmsNorm rmsNorm() {
    return rmsNorm;
  }

  public RopeKvAppend ropeKvAppend() {
    return ropeKvAppend;
  }

  public VisionRotary visionRotary() {
    return visionRotary;
  }

  public Attention attention() {
    return attention;
  }

  public Swiglu swiglu() {
    return swiglu;
  }

  public ResidualAdd residualAdd() {
    return residualAdd;
  }

  public ResidualRmsNorm residualRmsNorm() {
    return residualRmsNorm;
  }

  public BiasActivation biasActivation() {
    return biasActivation;
  }

  public Confidence confidence() {
    return confidence;
  }

  public Sample sample() {
    return sample;
  }

  public Remask remask() {
    return remask;
  }

  public FillNormal fillNormal() {
    return fillNormal;
  }

  public ReadSum readSum() {
    return readSum;
  }

  public LayerNorm layerNorm() {
    return layerNorm;
  }

  public ExtractPatches extractPatches() {
    return extractPatches;
  }

  public PositionEmbedding positionEmbedding() {
    return positionEmbedding;
  }

  public BlendRows blendRows() {
    return blendRows;
  }

  public SkinnyGemm skinnyGemm() {
    return skinnyGemm;
  }

  public SkinnyQkv skinnyQkv() {
    return skinnyQkv;
  }

  public SkinnyResidual skinnyResidual() {
    return skinnyResidual;
  }

  public SkinnySwiglu skinnySwiglu() {
    return skinnySwiglu;
  }

  public RowSquares rowSquares() {
    return rowSquares;
  }

  public SkinnyConfidence skinnyConfidence() {
    return skinnyConfidence;
  }
}
