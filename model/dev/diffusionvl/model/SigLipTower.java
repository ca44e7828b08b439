// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ImageTiles;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.loader.RowBlend;
import dev.diffusionvl.loader.SigLipConfig;
import dev.diffusionvl.loader.SigLipImageProcessor;
import dev.diffusionvl.runtime.Conv;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import java.util.Arrays;
import java.util.List;

/**
 * The SigLIP family's tower: {@link SigLipVision} over thumbnail and tiles, their features put together as a mosaic (docs/model.md,
 * "Image preprocessing: SigLIP").
 *
 * @param convolution whether patches are embedded by cuDNN; otherwise by a matrix product
 */
public record SigLipTower(ModelConfig config, SigLipWeights weights, boolean convolution) implements VisionTower {
  /** Tiles in one pass of the tower: bounds the scratch memory of an image of many. */
  public static final int TILES_AT_ONCE = 8;

  @Override
  public List<String> remarks() {
    return convolution ? List.of()
        : List.of("libcudnn.so.9 not found: the patch convolution takes the GEMM path (patches and a matrix product)");
  }

  @Override
  public ImageEncoder newEncoder(Kernels kernels, Stream stream, Gemm gemm) {
    return new Encoder(kernels, stream, gemm);
  }

  private final class Encoder implements ImageEncoder {
    private final SigLipImageProcessor processor = new SigLipImageProcessor(config);
    private final Kernels kernels;
    private final Stream stream;
    private final Gemm gemm;
    private final Conv conv; // null: no cuDNN

    Encoder(Kernels kernels, Stream stream, Gemm gemm) {
      this.kernels = kernels;
      this.stream = stream;
      this.gemm = gemm;
      this.conv = convolution ? new Conv(stream) : null;
    }

    @Override
    public List<Input> prepare(List<RgbImage> images) {
      return processor.process(images).stream().<Input>map(tiles -> new Tiles(this, tiles)).toList();
    }

    void encode(ImageTiles image, DeviceBuffer target) {
      SigLipConfig tower = config.sigLip();
      int hidden = config.text().hiddenSize();
      int tableRows = image.tiles() * tower.positions() + 1; // the newline vector is the last
      int atOnce = Math.min(image.tiles(), TILES_AT_ONCE);
      try (DeviceBuffer features = stream.device().allocate("image features", weights.newline().dtype(), tableRows, hidden);
          PatchEmbedding patches = patchEmbedding(atOnce);
          SigLipVision vision = new SigLipVision(tower, weights, kernels, stream, gemm, patches, atOnce)) {
        int pixels = image.pixels().length / image.tiles();
        for (int first = 0; first < image.tiles(); first += atOnce) {
          int tiles = Math.min(atOnce, image.tiles() - first);
          int rows = tiles * tower.positions();
          vision.encode(Arrays.copyOfRange(image.pixels(), first * pixels, (first + tiles) * pixels), tiles,
              features.slice((long) first * tower.positions() * hidden, rows, hidden));
        }
        stream.copy(weights.newline(), features.slice((long) (tableRows - 1) * hidden, hidden));
        blend(image.rows(), features, target, tableRows, hidden);
        stream.synchronize();
      }
    }

    private PatchEmbedding patchEmbedding(int maxTiles) {
      DeviceBuffer weight = weights.patchEmbedding().weight();
      return conv != null ? new PatchEmbedding.ByConvolution(config.sigLip(), weight, conv, maxTiles)
          : new PatchEmbedding.ByProduct(config.sigLip(), weight, kernels, stream, gemm, maxTiles);
    }

    private void blend(RowBlend rows, DeviceBuffer features, DeviceBuffer target, int tableRows, int hidden) {
      try (DeviceBuffer index = stream.device().allocate("mosaic index", DType.I32, rows.index().length);
          DeviceBuffer weight = stream.device().allocate("mosaic weights", DType.F32, rows.weight().length)) {
        index.set(stream, rows.index());
        weight.set(stream, rows.weight());
        kernels.blendRows.launch(stream, features, index, weight, target, rows.rows(), hidden, tableRows);
        stream.synchronize();
      }
    }

    @Override
    public void close() {
      if (conv != null) {
        conv.close();
      }
    }
  }

  private record Tiles(Encoder encoder, ImageTiles tiles) implements ImageEncoder.Input {
    @Override
    public int rows() {
      return tiles.rows().rows();
    }

    @Override
    public void encode(DeviceBuffer target) {
      encoder.encode(tiles, target);
    }
  }
}
