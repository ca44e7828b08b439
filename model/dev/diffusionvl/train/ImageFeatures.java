// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Stream;
import java.util.List;

/** The image rows of a pass: forward as one buffer, and back. */
final class ImageFeatures {
  private final VisionTraining vision;
  private final Stream stream;
  private final DType dtype;
  private final int hidden;

  ImageFeatures(VisionTraining vision, Stream stream, DiffusionVl model) {
    this.vision = vision;
    this.stream = stream;
    this.dtype = model.dtype();
    this.hidden = model.config().text().hiddenSize();
  }

  /**
   * Features of all rows of some images, one image after the other.
   *
   * @param pass owns what is allocated
   * @return [feature rows, H]; null if there are none
   */
  DeviceBuffer encode(List<TrainingRow.ImageRows> images, DeviceScope pass) {
    int features = images.stream().mapToInt(TrainingRow.ImageRows::rows).sum();
    if (features == 0) {
      return null;
    }
    DeviceBuffer target = pass.allocate("image features", dtype, features, hidden);
    long at = 0;
    for (TrainingRow.ImageRows image : images) {
      DeviceBuffer own = target.slice(at * hidden, image.rows(), hidden);
      if (image.rows() == image.image().rows()) {
        vision.features(image.image(), own);
      } else { // the conversation was cut within the image
        DeviceBuffer whole = pass.allocate("features of a cut image", dtype, image.image().rows(), hidden);
        vision.features(image.image(), whole);
        stream.copy(whole.slice(0, own.elements()), own);
      }
      at += image.rows();
    }
    return target;
  }

  /** Adds the gradients of the tower's and the projector's weights. @param gradient F32 [feature rows, H] of the features */
  void learnFrom(List<TrainingRow.ImageRows> images, DeviceBuffer gradient, DeviceScope pass) {
    long at = images.stream().mapToLong(TrainingRow.ImageRows::rows).sum();
    for (TrainingRow.ImageRows image : images.reversed()) { // the last one's activations are still there
      at -= image.rows();
      DeviceBuffer own = gradient.slice(at * hidden, image.rows(), hidden);
      if (image.rows() < image.image().rows()) {
        DeviceBuffer whole = pass.allocate("gradient of a cut image", DType.F32, image.image().rows(), hidden);
        stream.fill(whole, 0);
        stream.copy(own, whole.slice(0, own.elements()));
        own = whole;
      }
      vision.backward(image.image(), own);
    }
  }
}
