// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.VisionConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.BiasActivation;
import dev.diffusionvl.runtime.op.Heads;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.Rope;
import dev.diffusionvl.runtime.op.Segments;

/**
 * The Qwen vision tower with its merger (docs/model.md, "Qwen vision tower") for one image: patches in, one embedding per 2 x 2 patches
 * out. Windows are segments of the same attention kernel that the language model uses.
 */
final class QwenVlVision implements AutoCloseable {
  private static final float EPS = 1e-6f;

  private final Device device;
  private final DType dtype;
  private final VisionConfig config;
  private final VisionWeights weights;
  private final Kernels kernels;
  private final Stream stream;
  private final Gemm gemm;
  private final WindowOrder order;
  private final int patches;
  private final DeviceScope owned;
  private DeviceBuffer x;
  private DeviceBuffer normed;
  private DeviceBuffer accumulators;

  QwenVlVision(Device device, DType dtype, VisionConfig config, VisionWeights weights, Kernels kernels, Stream stream, Gemm gemm,
      int gridHeight, int gridWidth) {
    this.device = device;
    this.dtype = dtype;
    this.config = config;
    this.weights = weights;
    this.kernels = kernels;
    this.stream = stream;
    this.gemm = gemm;
    this.owned = new DeviceScope(device);
    this.patches = gridHeight * gridWidth;
    this.order = WindowOrder.of(gridHeight, gridWidth, config.spatialMergeSize(),
        config.windowSize() / config.spatialMergeSize() / config.patchSize());
  }

  /** Bytes that {@link #encode} takes for an image of so many patches. */
  static long bytes(VisionConfig config, DType dtype, int patches) {
    int d = config.hiddenSize();
    int inter = VisionWeights.inner(config);
    int patch = config.inChannels() * config.temporalPatchSize() * config.patchSize() * config.patchSize();
    int unit = config.spatialMergeSize() * config.spatialMergeSize();
    int out = config.outHiddenSize();
    long values = patch + 7L * d + inter + d + out / unit; // the merger's four rows side by side are one row of d each
    long floats = Math.max(patch, Math.max(3 * d, 2 * inter)) + Math.max(d, out / unit) + d / config.heads(); // the last: rotary tables
    return patches * (values * dtype.bytes() + floats * Float.BYTES);
  }

  /** Rows of {@link #encode}'s result: patches / 4. */
  int rows() {
    return patches / order.unit();
  }

  /** The tower's output before the merger, in window order [patches, D]; valid after {@link #encode}. */
  DeviceBuffer towerOutput() {
    return x;
  }

  /**
   * Encodes one image.
   *
   * @param pixels [patches, channels * temporal * patch * patch], rows in merge-unit order (docs/model.md, "Image preprocessing: Qwen")
   * @param target receives rows() x out_hidden embeddings in raster order of merge units
   */
  void encode(float[] pixels, DeviceBuffer target) {
    int d = config.hiddenSize();
    int inter = weights.blocks().getFirst().down().in();
    int patchSize = pixels.length / patches;
    DeviceBuffer input = owned.allocate("pixel values", dtype, patches, patchSize);
    accumulators = owned.allocate("vision accumulators", DType.F32, patches, Math.max(patchSize, Math.max(3 * d, 2 * inter)));
    if (dtype == DType.F32) {
      input.set(stream, pixels);
    } else { // the device rounds a million pixel values faster
      accumulators.set(stream, pixels);
      kernels.biasActivation.launch(stream, accumulators, null, input, patches, patchSize, BiasActivation.NONE);
    }
    DeviceBuffer embedded = owned.allocate("patch embeddings", dtype, patches, d);
    gemm.multiply(input, weights.patchEmbedding(), embedded, patches, d, patchSize);

    x = owned.allocate("vision hidden state", dtype, patches, d);
    normed = owned.allocate("vision normalised", dtype, patches, d);
    DeviceBuffer q = owned.allocate("vision queries", dtype, patches, d);
    KeyValues kv = new KeyValues(owned.allocate("vision keys", dtype, patches, d), owned.allocate("vision values", dtype, patches, d),
        new Heads(config.heads(), config.heads(), d / config.heads()), patches);
    DeviceBuffer attended = owned.allocate("vision attention output", dtype, patches, d);
    DeviceBuffer activated = owned.allocate("vision MLP activations", dtype, patches, inter);
    DeviceBuffer windowRows = owned.allocate("window order", DType.I32, patches);
    windowRows.set(stream, order.patchOrder());
    kernels.gatherRows.launch(stream, embedded, windowRows, null, x, patches, d, patches);

    RopeTable rope = owned.own(RopeTable.vision(device, stream, order.y(), order.x(), d / config.heads()));
    Segments windows = owned.own(WindowOrder.segments(device, stream, order.windowBounds()));
    Segments whole = owned.own(WindowOrder.segments(device, stream, 0, patches));
    kernels.rmsNorm.launch(stream, x, weights.blocks().getFirst().norm1(), normed, patches, d, EPS);
    for (int i = 0; i < config.depth(); i++) {
      Segments segments = config.fullAttentionBlocks().contains(i) ? whole : windows;
      DeviceBuffer nextNorm = i + 1 < config.depth() ? weights.blocks().get(i + 1).norm1() : weights.mergerNorm();
      block(weights.blocks().get(i), nextNorm, segments, rope.buffers(), q, kv, attended, activated);
    }

    // merger: four consecutive normalised rows side by side, two linear layers, back to raster order
    DeviceBuffer up = owned.allocate("merger activations", dtype, rows(), weights.mergerUp().out());
    DeviceBuffer mergerAccumulators = owned.allocate("merger accumulators", DType.F32, rows(), Math.max(weights.mergerUp().out(),
        weights.mergerDown().out()));
    weights.mergerUp().multiply(gemm, normed, mergerAccumulators, rows());
    kernels.biasActivation.launch(stream, mergerAccumulators, weights.mergerUp().bias(), up, rows(), weights.mergerUp().out(), 1);
    weights.mergerDown().multiply(gemm, up, mergerAccumulators, rows());
    DeviceBuffer down = owned.allocate("merger output", dtype, rows(), weights.mergerDown().out());
    kernels.biasActivation.launch(stream, mergerAccumulators, weights.mergerDown().bias(), down, rows(), weights.mergerDown().out(), 0);
    DeviceBuffer raster = owned.allocate("raster order", DType.I32, rows());
    raster.set(stream, order.inverseUnitOrder());
    kernels.gatherRows.launch(stream, down, raster, null, target, rows(), weights.mergerDown().out(), rows());
    stream.synchronize();
  }

  /** From {@code normed} to the next norm's output there. */
  private void block(VisionWeights.Block w, DeviceBuffer nextNorm, Segments segments, Rope rope, DeviceBuffer q, KeyValues kv,
      DeviceBuffer attended, DeviceBuffer activated) {
    int d = config.hiddenSize();
    multiply(normed, w.qkv());
    kernels.visionRotary.launch(stream, accumulators, w.qkv().bias(), rope, q, kv);
    kernels.attention.launch(stream, q, kv, segments, attended, (float) (1 / Math.sqrt(kv.heads().dim())));
    multiply(attended, w.projection());
    kernels.residualRmsNorm.launch(stream, x, accumulators, w.projection().bias(), w.norm2(), normed, patches, d, EPS);
    multiply(normed, w.gateUp());
    kernels.swiglu.launch(stream, accumulators, w.gateUp().bias(), activated, patches, w.down().in());
    multiply(activated, w.down());
    kernels.residualRmsNorm.launch(stream, x, accumulators, w.down().bias(), nextNorm, normed, patches, d, EPS);
  }

  private void multiply(DeviceBuffer input, Linear.Dense w) {
    w.multiply(gemm, input, accumulators, patches);
  }

  @Override
  public void close() {
    owned.close();
  }
}
