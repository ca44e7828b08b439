// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.diffusionvl.loader.ImageTiles;
import dev.diffusionvl.loader.RowBlend;
import dev.diffusionvl.loader.SigLipConfig;
import dev.diffusionvl.runtime.Conv;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.PinnedBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import java.lang.foreign.MemorySegment;

/** What encoding an image of the SigLIP family takes, kept for images that are no larger: the tower's memory, features, the mosaic. */
final class SigLipMemory implements AutoCloseable {
  private final SigLipConfig config;
  private final DeviceBuffer newline;
  private final Kernels kernels;
  private final Stream stream;
  private final int hidden;
  private final int tiles;
  private final int rows; // of the mosaic
  private final DeviceScope owned;
  private final SigLipVision vision;
  private final DeviceBuffer features; // of all tiles, and the newline vector behind those of the image
  private final DeviceBuffer index;
  private final DeviceBuffer weight;
  private final PinnedBuffer staging; // of the mosaic

  /**
   * @param conv null: patches are embedded by a matrix product
   * @param tiles most tiles of an image
   * @param rows most rows of its mosaic
   */
  SigLipMemory(SigLipTower tower, Kernels kernels, Stream stream, Gemm gemm, Conv conv, int tiles, int rows) {
    this.config = tower.config().sigLip();
    this.newline = tower.weights().newline();
    this.kernels = kernels;
    this.stream = stream;
    hidden = tower.config().text().hiddenSize();
    this.tiles = tiles;
    this.rows = rows;
    int atOnce = Math.min(tiles, SigLipTower.TILES_AT_ONCE);
    DeviceBuffer filter = tower.weights().patchEmbedding().weight();
    try (DeviceScope scope = new DeviceScope(stream.device())) {
      features = scope.allocate("image features", newline.dtype(), (long) tiles * config.positions() + 1, hidden);
      index = scope.allocate("mosaic index", DType.I32, rows, RowBlend.TERMS);
      weight = scope.allocate("mosaic weights", DType.F32, rows, RowBlend.TERMS);
      staging = scope.allocatePinned("mosaic", index.bytes() + weight.bytes());
      PatchEmbedding patches = scope.own(conv != null ? new PatchEmbedding.ByConvolution(config, filter, conv, atOnce)
          : new PatchEmbedding.ByProduct(config, filter, kernels, stream, gemm, atOnce));
      vision = scope.own(new SigLipVision(config, tower.weights(), kernels, stream, gemm, patches, atOnce));
      owned = scope.keep();
    }
  }

  int tiles() {
    return tiles;
  }

  int rows() {
    return rows;
  }

  boolean serves(ImageTiles image) {
    return image.tiles() <= tiles && image.rows().rows() <= rows;
  }

  /** Encodes an image and waits for it. */
  void encode(ImageTiles image, DeviceBuffer target) {
    int positions = config.positions();
    for (int first = 0; first < image.tiles(); first += vision.maxTiles()) {
      int count = Math.min(vision.maxTiles(), image.tiles() - first);
      vision.encode(image.pixels(), first, count, features.slice((long) first * positions * hidden, (long) count * positions, hidden));
    }
    int tableRows = image.tiles() * positions + 1;
    stream.copy(newline, features.slice((tableRows - 1L) * hidden, hidden));
    RowBlend blend = image.rows();
    MemorySegment.copy(blend.index(), 0, staging.segment(), JAVA_INT, 0, blend.index().length);
    MemorySegment.copy(blend.weight(), 0, staging.segment(), JAVA_FLOAT, index.bytes(), blend.weight().length);
    stream.uploadAsync(staging, 0, index.slice(0, blend.index().length));
    stream.uploadAsync(staging, index.bytes(), weight.slice(0, blend.weight().length));
    kernels.blendRows.launch(stream, features, index, weight, target, blend.rows(), hidden, tableRows);
    stream.synchronize();
  }

  @Override
  public void close() {
    owned.close();
  }
}
