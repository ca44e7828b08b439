// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.PixelValues;
import dev.diffusionvl.loader.QwenImageProcessor;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import java.util.ArrayList;
import java.util.List;

/** The Qwen-VL family's tower: {@link QwenVlVision} over the whole image, one embedding per merge unit. */
public record QwenVlTower(ModelConfig config, VisionWeights weights) implements VisionTower {

  @Override
  public ImageEncoder newEncoder(Kernels kernels, Stream stream, Gemm gemm) {
    return new Encoder(kernels, stream, gemm);
  }

  private final class Encoder implements ImageEncoder {
    private final QwenImageProcessor processor = new QwenImageProcessor(config);
    private final Kernels kernels;
    private final Stream stream;
    private final Gemm gemm;

    Encoder(Kernels kernels, Stream stream, Gemm gemm) {
      this.kernels = kernels;
      this.stream = stream;
      this.gemm = gemm;
    }

    @Override
    public List<Input> prepare(List<RgbImage> images) {
      List<Input> inputs = new ArrayList<>();
      for (RgbImage image : images) {
        inputs.add(new Patches(this, processor.process(image, image.nameOr(inputs.size() + 1))));
      }
      return inputs;
    }

    void encode(PixelValues pixels, DeviceBuffer target) {
      try (QwenVlVision vision = new QwenVlVision(stream.device(), weights.patchEmbedding().dtype(), config.vision(), weights, kernels,
          stream, gemm, pixels.gridHeight(), pixels.gridWidth())) {
        vision.encode(pixels.values(), target);
      }
    }

    int rows(PixelValues pixels) {
      return pixels.rows(config.vision().spatialMergeSize());
    }

    int columns(PixelValues pixels) {
      return pixels.gridWidth() / config.vision().spatialMergeSize();
    }

    @Override
    public void close() {
      // Scratch memory lives as long as one image.
    }
  }

  private record Patches(Encoder encoder, PixelValues pixels) implements ImageEncoder.Input {
    @Override
    public int rows() {
      return encoder.rows(pixels);
    }

    @Override
    public int columns() {
      return encoder.columns(pixels);
    }

    @Override
    public void encode(DeviceBuffer target) {
      encoder.encode(pixels, target);
    }
  }
}
