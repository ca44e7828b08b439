// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.Checkpoint;
import dev.diffusionvl.loader.CheckpointWriter;
import dev.diffusionvl.loader.ModelShapes;
import dev.diffusionvl.loader.SafetensorsWriter;
import dev.diffusionvl.loader.TensorView;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.Stream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Writes a model's weights as they are on the device into a checkpoint folder like the one that it was loaded from. */
public final class ModelWriter {
  private ModelWriter() {}

  /**
   * Writes a folder with the names and the other files of {@code base}. Tensors that {@code base} has and inference does not load
   * are carried over; an output matrix that is stored although it is tied is written as what it is, the embedding.
   *
   * @param target must not exist; it is there as a whole or not at all
   * @param base the checkpoint that the model was loaded from
   * @param config fields of config.json to be changed or added: strings, numbers, booleans, or null
   * @return names, as in the files, of tensors of {@code base} that no naming scheme knows and that were left out
   * @throws dev.diffusionvl.loader.BadInputException if the target exists or cannot be made, the base is no checkpoint, or its weights are
   *     quantised
   * @throws dev.diffusionvl.loader.OutputException if the disk is full; nothing is left then
   */
  public static List<String> write(Path target, Device device, Parameters parameters, Path base, Map<String, ?> config) {
    try (Checkpoint checkpoint = Checkpoint.open(base); Stream stream = device.newStream()) {
      checkpoint.requireUnquantized("cannot be written back: on the device they are decoded");
      List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
      for (String name : checkpoint.names()) {
        boolean tied = name.equals(ModelShapes.LM_HEAD) && !parameters.contains(name);
        String source = tied ? ModelShapes.EMBEDDING : name;
        TensorView view = checkpoint.tensor(name);
        tensors.add(parameters.contains(source)
            ? parameters.toFile(parameters.entry(source), name, stream)
            : SafetensorsWriter.Tensor.of(name, view.type(), view.shape(), view.data()));
      }
      CheckpointWriter.write(target, List.of(base), checkpoint.scheme(), tensors, config, SafetensorsWriter.SHARD_BYTES);
      return List.copyOf(checkpoint.unknownNames());
    }
  }
}
