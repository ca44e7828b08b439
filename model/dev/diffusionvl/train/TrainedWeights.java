// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.model.Parameter;
import dev.diffusionvl.model.Parameters;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/** The weights that are trained, in a fixed order: the model's own, adapters behind them. */
final class TrainedWeights {
  private final List<DeviceBuffer> all = new ArrayList<>();
  private final Map<DeviceBuffer, TrainedPart> partOf = new IdentityHashMap<>();

  /** @param adapters in place of the language model's own weights; null: these are trained themselves */
  TrainedWeights(Parameters parameters, Adapters adapters, TrainerOptions options) {
    Map<DeviceBuffer, TrainedPart> parts = new IdentityHashMap<>();
    for (Parameter entry : parameters.entries()) {
      parts.put(parameters.buffers().get(entry.buffer()), TrainedPart.of(entry.name()));
    }
    for (DeviceBuffer weight : parameters.buffers()) {
      TrainedPart part = parts.get(weight);
      if (part != null && options.parts().contains(part) && !(part == TrainedPart.LM && adapters != null)) {
        add(weight, part);
      }
    }
    if (adapters != null) {
      adapters.weights().forEach(weight -> add(weight, TrainedPart.LM));
    }
  }

  private void add(DeviceBuffer weight, TrainedPart part) {
    all.add(weight);
    partOf.put(weight, part);
  }

  List<DeviceBuffer> all() {
    return all;
  }

  /** The part of the model that a trained weight belongs to. */
  TrainedPart part(DeviceBuffer weight) {
    return partOf.get(weight);
  }
}
