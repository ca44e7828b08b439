// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.model.Parameters;
import dev.diffusionvl.model.TextWeights;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.op.GradientNorm;
import dev.diffusionvl.train.TrainingMemory.Use;

/**
 * What training holds from its first step to its last, the model's own weights excepted. Allocated, or only counted; the content is
 * undefined.
 */
final class TrainingState implements AutoCloseable {
  private final DeviceScope scope;
  final Adapters adapters; // null: none
  final TrainedWeights trained;
  final Twin gradients;
  final Twin masters; // null: the weights are F32 themselves
  final Moments moments;
  final Norm norm;

  /** What the gradients' norm is made in; result: [norm, factor]. */
  record Norm(DeviceBuffer scratch, DeviceBuffer result, DeviceScope scope) implements AutoCloseable {
    static Norm of(TrainingMemory memory, long elements) {
      try (memory) {
        return new Norm(memory.own("gradient norm scratch", DType.F64, GradientNorm.scratch(elements)),
            memory.own("gradient norm", DType.F32, 2), memory.keep());
      }
    }

    @Override
    public void close() {
      scope.close();
    }
  }

  /** @param device null: the memory counts only */
  TrainingState(Device device, TrainingMemory memory, Parameters parameters, TextWeights text, DType dtype, TrainerOptions options) {
    try (DeviceScope own = new DeviceScope(device)) {
      adapters = options.lora() == null ? null : own.own(new Adapters(memory.of(Use.WEIGHTS), parameters, text, options.lora()));
      trained = new TrainedWeights(parameters, adapters, options);
      gradients = own.own(new Twin(memory.of(Use.GRADIENTS), "gradients", trained.all()));
      masters = dtype == DType.F32 ? null : own.own(new Twin(memory.of(Use.MASTERS), "master weights", trained.all()));
      moments = Moments.of(options.optimizer(), memory, own, trained.all());
      norm = own.own(Norm.of(memory.of(Use.WORKSPACES), gradients.all().elements()));
      scope = own.keep();
    }
  }

  /** Memory for passes of so many rows and targets. @param memory that becomes the activations' */
  TextActivations activations(TrainingMemory memory, DType dtype, TextConfig text, int rows, int targets, boolean recompute) {
    int rank = adapters == null ? 0 : adapters.rank();
    TextActivations activations = new TextActivations(memory, dtype, text, rows, targets, recompute, rank);
    if (adapters != null) {
      adapters.workOn(activations.low, activations.dLow);
    }
    return activations;
  }

  @Override
  public void close() {
    scope.close();
  }
}
