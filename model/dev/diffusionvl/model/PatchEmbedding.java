// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.SigLipConfig;
import dev.diffusionvl.runtime.Conv;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;

/** The SigLIP tower's convolution over patches (stride = kernel size, no padding), without its bias. */
interface PatchEmbedding extends AutoCloseable {
  /** Colours of a pixel. */
  int CHANNELS = 3;

  /**
   * @param pixels [tiles or more, side, side, 3]
   * @return [tiles * positions, C], f32 accumulators or values of the model's dtype; this object's own, until the next call
   */
  DeviceBuffer compute(DeviceBuffer pixels, int tiles);

  @Override
  void close();

  /** By cuDNN. */
  final class ByConvolution implements PatchEmbedding {
    private final SigLipConfig config;
    private final DeviceBuffer weight;
    private final Conv conv;
    private final DeviceBuffer embeddings;

    ByConvolution(SigLipConfig config, DeviceBuffer weight, Conv conv, int maxTiles) {
      this.config = config;
      this.weight = weight;
      this.conv = conv;
      this.embeddings = weight.device().allocate("patch embeddings", weight.dtype(), maxTiles, config.positions(), config.hiddenSize());
    }

    @Override
    public DeviceBuffer compute(DeviceBuffer pixels, int tiles) {
      int side = config.imageSize();
      conv.forward(pixels, weight, embeddings, tiles, side, side, CHANNELS, config.hiddenSize(), config.patchSize(), config.patchSize());
      return embeddings;
    }

    @Override
    public void close() {
      embeddings.close();
    }
  }

  /** By cutting out the patches and a matrix product. */
  final class ByProduct implements PatchEmbedding {
    private final SigLipConfig config;
    private final DeviceBuffer weight;
    private final Kernels kernels;
    private final Stream stream;
    private final Gemm gemm;
    private final DeviceScope owned;
    private final DeviceBuffer patches;
    private final DeviceBuffer accumulators;

    ByProduct(SigLipConfig config, DeviceBuffer weight, Kernels kernels, Stream stream, Gemm gemm, int maxTiles) {
      this.config = config;
      this.weight = weight;
      this.kernels = kernels;
      this.stream = stream;
      this.gemm = gemm;
      int rows = maxTiles * config.positions();
      try (DeviceScope scope = new DeviceScope(stream.device())) {
        patches = scope.allocate("patches", weight.dtype(), rows, weight.shape()[1]);
        accumulators = scope.allocate("patch embeddings", DType.F32, rows, config.hiddenSize());
        owned = scope.keep();
      }
    }

    @Override
    public DeviceBuffer compute(DeviceBuffer pixels, int tiles) {
      int side = config.imageSize();
      int values = (int) weight.shape()[1];
      kernels.extractPatches.launch(stream, pixels, patches, tiles, side, side, CHANNELS, config.patchSize());
      gemm.multiply(patches, weight, accumulators, tiles * config.positions(), config.hiddenSize(), values);
      return accumulators;
    }

    @Override
    public void close() {
      owned.close();
    }
  }
}
