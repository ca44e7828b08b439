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
    private QwenVlVision vision; // null: none yet, or one that was too large to keep

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
      int patches = Math.multiplyExact(pixels.gridHeight(), pixels.gridWidth());
      if (vision != null && vision.maxPatches() < patches) {
        close(); // before the allocation: both at once may not fit
      }
      if (vision == null) {
        vision = new QwenVlVision(config.vision(), weights, kernels, stream, gemm, patches);
      }
      vision.encode(pixels, target);
      if (QwenVlVision.bytes(config.vision(), target.dtype(), vision.maxPatches()) > KEPT_BYTES) {
        close();
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
      if (vision != null) {
        vision.close();
        vision = null;
      }
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
