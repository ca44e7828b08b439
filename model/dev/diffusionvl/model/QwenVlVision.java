// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.diffusionvl.loader.PixelValues;
import dev.diffusionvl.loader.VisionConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.PinnedBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.BiasActivation;
import dev.diffusionvl.runtime.op.Heads;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.Segments;
import java.lang.foreign.MemorySegment;

/**
 * The Qwen vision tower with its merger (docs/model.md, "Qwen vision tower") for one image at a time: patches in, one embedding per 2 x 2
 * patches out. Windows are segments of the same attention kernel that the language model uses. Holds memory for images of up to so many
 * patches, and the tables of the grid that came last: an image of the same grid finds everything in place.
 */
final class QwenVlVision implements AutoCloseable {
  private static final float EPS = 1e-6f;

  private final DType dtype;
  private final VisionConfig config;
  private final VisionWeights weights;
  private final Kernels kernels;
  private final Stream stream;
  private final Gemm gemm;
  private final int patchSize;
  private final VisionGrid grid;
  private final DeviceScope owned;
  private final PinnedBuffer staging; // of pixels
  private final DeviceBuffer input;
  private final DeviceBuffer accumulators;
  private final DeviceBuffer embedded;
  private final DeviceBuffer x;
  private final DeviceBuffer normed;
  private final DeviceBuffer q;
  private final DeviceBuffer k;
  private final DeviceBuffer v;
  private final DeviceBuffer attended;
  private final DeviceBuffer activated;
  private final DeviceBuffer up;
  private final DeviceBuffer mergerAccumulators;
  private final DeviceBuffer down;
  private int patches; // of the image

  /** @param maxPatches of an image */
  QwenVlVision(VisionConfig config, VisionWeights weights, Kernels kernels, Stream stream, Gemm gemm, int maxPatches) {
    this.dtype = weights.patchEmbedding().dtype();
    this.config = config;
    this.weights = weights;
    this.kernels = kernels;
    this.stream = stream;
    this.gemm = gemm;
    patchSize = patchSize(config);
    int d = config.hiddenSize();
    int inter = weights.blocks().getFirst().down().in();
    int rows = maxPatches / (config.spatialMergeSize() * config.spatialMergeSize());
    int mergerOut = weights.mergerDown().out();
    int mergerInner = weights.mergerUp().out();
    try (DeviceScope scope = new DeviceScope(stream.device())) {
      staging = scope.allocatePinned("pixel values", (long) maxPatches * patchSize * Float.BYTES);
      input = scope.allocate("pixel values", dtype, maxPatches, patchSize);
      accumulators = scope.allocate("vision accumulators", DType.F32, maxPatches, Math.max(patchSize, Math.max(3 * d, 2 * inter)));
      embedded = scope.allocate("patch embeddings", dtype, maxPatches, d);
      x = scope.allocate("vision hidden state", dtype, maxPatches, d);
      normed = scope.allocate("vision normalised", dtype, maxPatches, d);
      q = scope.allocate("vision queries", dtype, maxPatches, d);
      k = scope.allocate("vision keys", dtype, maxPatches, d);
      v = scope.allocate("vision values", dtype, maxPatches, d);
      attended = scope.allocate("vision attention output", dtype, maxPatches, d);
      activated = scope.allocate("vision MLP activations", dtype, maxPatches, inter);
      up = scope.allocate("merger activations", dtype, rows, mergerInner);
      mergerAccumulators = scope.allocate("merger accumulators", DType.F32, rows, Math.max(mergerInner, mergerOut));
      down = scope.allocate("merger output", dtype, rows, mergerOut);
      grid = scope.own(new VisionGrid(config, stream, maxPatches));
      owned = scope.keep();
    }
  }

  private static int patchSize(VisionConfig config) {
    return config.inChannels() * config.temporalPatchSize() * config.patchSize() * config.patchSize();
  }

  /** Bytes that it takes for images of up to so many patches. */
  static long bytes(VisionConfig config, DType dtype, int patches) {
    int d = config.hiddenSize();
    int inter = VisionWeights.inner(config);
    int patch = patchSize(config);
    int unit = config.spatialMergeSize() * config.spatialMergeSize();
    int out = config.outHiddenSize();
    long values = patch + 7L * d + inter + d + out / unit; // the merger's four rows side by side are one row of d each
    long floats = Math.max(patch, Math.max(3 * d, 2 * inter)) + Math.max(d, out / unit) + d / config.heads(); // the last: rotary tables
    return patches * (values * dtype.bytes() + floats * Float.BYTES);
  }

  /** Most patches of an image. */
  int maxPatches() {
    return (int) x.shape()[0];
  }

  /** The tower's output before the merger, in window order [patches, D]; valid after {@link #encode}. */
  DeviceBuffer towerOutput() {
    return x.slice(0, patches, config.hiddenSize());
  }

  /**
   * Encodes one image and waits for it.
   *
   * @param pixels patches in merge-unit order (docs/model.md, "Image preprocessing: Qwen")
   * @param target receives its embeddings, one per 2 x 2 patches, in raster order
   */
  void encode(PixelValues pixels, DeviceBuffer target) {
    patches = pixels.gridHeight() * pixels.gridWidth();
    int d = config.hiddenSize();
    grid.place(pixels.gridHeight(), pixels.gridWidth());
    MemorySegment.copy(pixels.values(), 0, staging.segment(), JAVA_FLOAT, 0, pixels.values().length);
    DeviceBuffer uploaded = dtype == DType.F32 ? input : accumulators; // the device rounds a million pixel values faster
    stream.uploadAsync(staging, 0, uploaded.slice(0, pixels.values().length));
    if (dtype != DType.F32) {
      kernels.biasActivation.launch(stream, accumulators, null, input, patches, patchSize, BiasActivation.NONE);
    }
    gemm.multiply(input, weights.patchEmbedding(), embedded, patches, d, patchSize);
    kernels.gatherRows.launch(stream, embedded, grid.windowOrder(), null, x, patches, d, patches);

    KeyValues kv = new KeyValues(k, v, new Heads(config.heads(), config.heads(), d / config.heads()), patches);
    kernels.rmsNorm.launch(stream, x, weights.blocks().getFirst().norm1(), normed, patches, d, EPS);
    for (int i = 0; i < config.depth(); i++) {
      Segments segments = config.fullAttentionBlocks().contains(i) ? grid.whole() : grid.windows();
      DeviceBuffer nextNorm = i + 1 < config.depth() ? weights.blocks().get(i + 1).norm1() : weights.mergerNorm();
      block(weights.blocks().get(i), nextNorm, segments, kv);
    }

    // merger: four consecutive normalised rows side by side, two linear layers, back to raster order
    int rows = patches / (config.spatialMergeSize() * config.spatialMergeSize());
    weights.mergerUp().multiply(gemm, normed, mergerAccumulators, rows);
    kernels.biasActivation.launch(stream, mergerAccumulators, weights.mergerUp().bias(), up, rows, weights.mergerUp().out(), 1);
    weights.mergerDown().multiply(gemm, up, mergerAccumulators, rows);
    kernels.biasActivation.launch(stream, mergerAccumulators, weights.mergerDown().bias(), down, rows, weights.mergerDown().out(), 0);
    kernels.gatherRows.launch(stream, down, grid.rasterOrder(), null, target, rows, weights.mergerDown().out(), rows);
    stream.synchronize();
  }

  /** From {@code normed} to the next norm's output there. */
  private void block(VisionWeights.Block w, DeviceBuffer nextNorm, Segments segments, KeyValues kv) {
    int d = config.hiddenSize();
    multiply(normed, w.qkv());
    kernels.visionRotary.launch(stream, accumulators, w.qkv().bias(), grid.rope(), q, kv);
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
