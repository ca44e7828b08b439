// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ImageTiles;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.loader.SigLipImageProcessor;
import dev.diffusionvl.runtime.Conv;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
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
    private SigLipMemory memory; // null: none yet, or one that was too large to keep

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
      if (memory == null || !memory.serves(image)) {
        int tiles = Math.max(image.tiles(), memory == null ? 0 : memory.tiles());
        int rows = Math.max(image.rows().rows(), memory == null ? 0 : memory.rows());
        forget(); // before the allocation: both at once may not fit
        memory = new SigLipMemory(SigLipTower.this, kernels, stream, gemm, conv, tiles, rows);
      }
      memory.encode(image, target);
      if (SigLipVision.bytes(config, target.dtype(), memory.tiles()) > KEPT_BYTES) {
        forget();
      }
    }

    private void forget() {
      if (memory != null) {
        memory.close();
        memory = null;
      }
    }

    @Override
    public void close() {
      forget();
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
