// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.SigLipConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Event;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.PinnedBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.BiasActivation;
import dev.diffusionvl.runtime.op.Heads;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.Segments;
import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;

/**
 * The SigLIP tower with its projector (docs/model.md, "SigLIP tower") over a batch of tiles: pixels in, one feature per patch out. A tile
 * is a segment of the same attention kernel that the language model uses. Holds scratch memory for a fixed number of tiles.
 */
final class SigLipVision implements AutoCloseable {
  private final DType dtype;
  private final SigLipConfig config;
  private final SigLipWeights weights;
  private final Kernels kernels;
  private final Stream stream;
  private final Gemm gemm;
  private final PatchEmbedding patchEmbedding;
  private final int maxTiles;
  private final DeviceScope owned;
  private final PinnedBuffer staging; // of pixels
  private final Event uploaded;
  private final DeviceBuffer pixels; // [tiles, side, side, 3]
  private final DeviceBuffer x; // residual stream [rows, C]
  private final DeviceBuffer normed; // [rows, C]
  private final DeviceBuffer accumulators; // f32 result of the last product
  private final DeviceBuffer q; // [rows, heads, D]
  private final DeviceBuffer k; // [heads, rows, D]
  private final DeviceBuffer v; // [heads, rows, D]
  private final DeviceBuffer attended; // [rows, C]
  private final DeviceBuffer activated; // [rows, max(F, H)]
  private final Segments segments; // a tile each

  /** @param maxTiles most tiles that one call may encode */
  SigLipVision(SigLipConfig config, SigLipWeights weights, Kernels kernels, Stream stream, Gemm gemm, PatchEmbedding patchEmbedding,
      int maxTiles) {
    this.dtype = weights.newline().dtype();
    this.config = config;
    this.weights = weights;
    this.kernels = kernels;
    this.stream = stream;
    this.gemm = gemm;
    this.patchEmbedding = patchEmbedding;
    this.maxTiles = maxTiles;
    int rows = maxTiles * config.positions();
    int c = config.hiddenSize();
    int inner = Math.max(config.intermediateSize(), weights.projectorUp().out());
    try (DeviceScope scope = new DeviceScope(stream.device())) {
      pixels = scope.allocate("tiles", dtype, maxTiles, config.imageSize(), config.imageSize(), PatchEmbedding.CHANNELS);
      staging = scope.allocatePinned("tiles", pixels.elements() * Float.BYTES);
      uploaded = scope.newEvent(false);
      x = scope.allocate("vision hidden state", dtype, rows, c);
      normed = scope.allocate("vision normalised", dtype, rows, c);
      accumulators = scope.allocate("vision accumulators", DType.F32, rows, columns(config, inner));
      q = scope.allocate("vision queries", dtype, rows, c);
      k = scope.allocate("vision keys", dtype, rows, c);
      v = scope.allocate("vision values", dtype, rows, c);
      attended = scope.allocate("vision attention output", dtype, rows, c);
      activated = scope.allocate("vision MLP activations", dtype, rows, inner);
      segments = scope.own(WindowOrder.segments(stream.device(), stream,
          IntStream.rangeClosed(0, maxTiles).map(tile -> tile * config.positions()).toArray()));
      owned = scope.keep();
    }
  }

  /** Of the accumulators: those of each product, and what the pixels of a tile need that are rounded on the device. */
  private static int columns(SigLipConfig config, long inner) {
    int pixels = PatchEmbedding.CHANNELS * config.imageSize() * config.imageSize();
    return (int) Math.max(Math.ceilDiv(pixels, config.positions()), Math.max(3L * config.hiddenSize(), inner));
  }

  /** Bytes that an image of so many tiles takes beside its embeddings: table of features and patch embedding included; 0 for no image. */
  static long bytes(ModelConfig model, DType dtype, int tiles) {
    SigLipConfig config = model.sigLip();
    long c = config.hiddenSize();
    long hidden = model.text().hiddenSize();
    long inner = Math.max(config.intermediateSize(), hidden);
    long patch = (long) PatchEmbedding.CHANNELS * config.patchSize() * config.patchSize();
    long pixels = (long) PatchEmbedding.CHANNELS * config.imageSize() * config.imageSize();
    long perRow = (6 * c + inner + patch) * dtype.bytes() + (columns(config, inner) + c) * Float.BYTES;
    long perTile = pixels * dtype.bytes() + config.positions() * perRow;
    return Math.min(tiles, SigLipTower.TILES_AT_ONCE) * perTile + (long) tiles * config.positions() * hidden * dtype.bytes();
  }

  /** Most tiles of a call. */
  int maxTiles() {
    return maxTiles;
  }

  /** The tower's output before the projector [rows, C]; valid after {@link #encode}. */
  DeviceBuffer towerOutput() {
    return x;
  }

  /**
   * Queues the encoding of some tiles.
   *
   * @param tilePixels [tiles of the image, side, side, 3]
   * @param first tile of the image
   * @param tiles at most the number that the constructor was given
   * @param features receives [tiles * positions, H], raster order
   */
  void encode(float[] tilePixels, int first, int tiles, DeviceBuffer features) {
    if (tiles > maxTiles) {
      throw new IllegalArgumentException(tiles + " tiles, scratch memory is for " + maxTiles);
    }
    int rows = tiles * config.positions();
    upload(tilePixels, first, tiles);
    DeviceBuffer patches = patchEmbedding.compute(pixels, tiles);
    kernels.positionEmbedding.launch(stream, patches, weights.patchEmbedding().bias(), weights.positions(), x, rows, config.hiddenSize(),
        config.positions());
    Segments seen = segments.view(0, tiles);
    KeyValues kv = new KeyValues(k, v, new Heads(config.heads(), config.heads(), config.hiddenSize() / config.heads()), rows);
    weights.layers().forEach(layer -> layer(layer, kv, seen));

    multiply(x, weights.projectorUp(), rows);
    kernels.biasActivation.launch(stream, accumulators, weights.projectorUp().bias(), activated, rows, weights.projectorUp().out(),
        BiasActivation.GELU_ERF);
    multiply(activated, weights.projectorDown(), rows);
    kernels.biasActivation.launch(stream, accumulators, weights.projectorDown().bias(), features, rows, weights.projectorDown().out(),
        BiasActivation.NONE);
  }

  private void upload(float[] tilePixels, int first, int tiles) {
    int line = config.imageSize() * PatchEmbedding.CHANNELS;
    int each = config.imageSize() * line;
    uploaded.synchronize(); // of the tiles before
    MemorySegment.copy(tilePixels, first * each, staging.segment(), JAVA_FLOAT, 0, tiles * each);
    stream.uploadAsync(staging, 0, (dtype == DType.F32 ? pixels : accumulators).slice(0, (long) tiles * each));
    uploaded.record(stream);
    if (dtype != DType.F32) { // the device rounds a million pixel values faster
      kernels.biasActivation.launch(stream, accumulators, null, pixels, tiles * config.imageSize(), line, BiasActivation.NONE);
    }
  }

  private void layer(SigLipWeights.Layer w, KeyValues kv, Segments segments) {
    int rows = kv.slots();
    int c = config.hiddenSize();
    norm(w.norm1(), rows);
    multiply(normed, w.qkv(), rows);
    kernels.visionRotary.launch(stream, accumulators, w.qkv().bias(), null, q, kv);
    kernels.attention.launch(stream, q, kv, segments, attended, (float) (1 / Math.sqrt(kv.heads().dim())));
    multiply(attended, w.output(), rows);
    kernels.residualAdd.launch(stream, x, accumulators, w.output().bias(), rows, c);
    norm(w.norm2(), rows);
    multiply(normed, w.up(), rows);
    kernels.biasActivation.launch(stream, accumulators, w.up().bias(), activated, rows, w.up().out(), BiasActivation.GELU_TANH);
    multiply(activated, w.down(), rows);
    kernels.residualAdd.launch(stream, x, accumulators, w.down().bias(), rows, c);
  }

  private void norm(SigLipWeights.Norm norm, int rows) {
    kernels.layerNorm.launch(stream, x, norm.weight(), norm.bias(), normed, rows, config.hiddenSize(), (float) config.layerNormEps());
  }

  private void multiply(DeviceBuffer input, Linear.Dense w, int rows) {
    w.multiply(gemm, input, accumulators, rows);
  }

  @Override
  public void close() {
    owned.close();
  }
}
