// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.ImageFraming;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.QwenImageProcessor;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.loader.SigLipImageProcessor;
import dev.diffusionvl.model.VisionTower;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Function;

/** From the names of a record's images to what the vision tower takes. Immutable, safe for several threads. */
final class ImagePreparer {
  private final Path folder;
  private final Function<List<RgbImage>, List<PreparedImage>> processor;

  /**
   * @param folder the names are relative to it
   * @param framing for the Qwen-VL family
   */
  ImagePreparer(ModelConfig config, Path folder, ImageFraming framing) {
    this.folder = folder;
    this.processor = switch (config.family()) {
      case QWEN_VL -> patches(new QwenImageProcessor(config, framing), config.vision().spatialMergeSize());
      case QWEN_SIGLIP -> tiles(new SigLipImageProcessor(config));
      case QWEN_TEXT -> images -> {
        VisionTower.imageRows(config, images); // refuses any
        return List.of();
      };
    };
  }

  private static Function<List<RgbImage>, List<PreparedImage>> patches(QwenImageProcessor processor, int merge) {
    return images -> images.stream()
        .map(image -> processor.process(image, image.name()))
        .<PreparedImage>map(pixels -> new PreparedImage.Patches(pixels, pixels.rows(merge)))
        .toList();
  }

  private static Function<List<RgbImage>, List<PreparedImage>> tiles(SigLipImageProcessor processor) {
    return images -> processor.process(images).stream().<PreparedImage>map(PreparedImage.Tiles::new).toList();
  }

  /** @throws BadInputException naming the image, if its name leads out of the folder, or it is missing, broken or of an impossible shape */
  List<PreparedImage> prepare(List<String> names) {
    return processor.apply(names.stream().map(name -> ImageFiles.read(folder, name)).toList());
  }
}
