// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.ModelShapes;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.Map;

/**
 * A model's weights as they would lie on a device, without a device: buffers that are outlines, made by the code that loads them
 * ({@link DeviceBuffer#outline}).
 *
 * @param text weights of the language model
 * @param parameters all weights
 */
public record ModelOutline(TextWeights text, Parameters parameters) {

  /** The outline of a configuration's model. @param dtype BF16, F16 or F32 */
  public static ModelOutline of(ModelConfig config, DType dtype) {
    return of(config, new Shapes(ModelShapes.of(config)), dtype);
  }

  /** The outline of a checkpoint's model, which keeps quantised weights as they are where it can. @param dtype BF16, F16 or F32 */
  public static ModelOutline of(ModelFiles files, DType dtype) {
    try (WeightSource source = new CheckpointWeights(null, files.checkpoint(), LoadListener.NONE)) {
      return of(files.config(), source, dtype);
    }
  }

  private static ModelOutline of(ModelConfig config, WeightSource source, DType dtype) {
    try (WeightUploader uploader = new WeightUploader(null, source, dtype, config.text().tieWordEmbeddings())) {
      TextWeights text = TextWeights.load(uploader, config.text());
      switch (config.family()) {
        case QWEN_VL -> VisionWeights.load(uploader, config.vision());
        case QWEN_SIGLIP -> SigLipWeights.load(uploader, config.sigLip());
        case QWEN_TEXT -> { }
      }
      return new ModelOutline(text, uploader.outlines());
    }
  }

  /** Bytes of all weights. */
  public long bytes() {
    return parameters.buffers().stream().mapToLong(DeviceBuffer::bytes).sum();
  }

  /** Bytes that a session takes for one packed matrix as numbers. @param dtype of the activations */
  long scratch(DType dtype) {
    return ExpandedWeights.elements(text) * dtype.bytes();
  }

  /** Tensors that have shapes and no values. */
  private record Shapes(Map<String, long[]> shapes) implements WeightSource {
    @Override
    public boolean contains(String name) {
      return shapes.containsKey(name);
    }

    @Override
    public long[] shape(String name) {
      return shapes.get(name).clone();
    }

    @Override
    public void fill(String name, DeviceBuffer target) {
      // nothing is there to be filled
    }

    @Override
    public void finish() {
      // nothing has begun
    }

    @Override
    public void close() {
      // nothing is open
    }
  }
}
