// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Parameters;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Adamw;
import dev.diffusionvl.runtime.op.GradientNorm;
import dev.diffusionvl.runtime.op.Kernels;
import java.util.List;
import java.util.function.Predicate;
import java.util.function.ToDoubleFunction;

/**
 * AdamW (Loshchilov and Hutter, 2019) over the trained weights of a model: f32 moments, and f32 master weights where the model computes in
 * BF16. Gradients are clipped by their global norm, on the device.
 *
 * <pre>
 *   g = gradient min(1, limit / norm)       m = 0.9 m + 0.1 g       v = 0.999 v + 0.001 g²
 *   w = w (1 − rate decay) − rate (m / (1 − 0.9^step)) / (√(v / (1 − 0.999^step)) + 1e-8)
 * </pre>
 *
 * <p>The numbers are those of the authors' recipe (docs/model.md, "Training objective").
 */
public final class AdamW implements AutoCloseable {
  private static final float BETA1 = 0.9f;
  private static final float BETA2 = 0.999f;
  private static final float EPS = 1e-8f;

  private final DeviceScope scope;
  private final Kernels kernels;
  private final Stream stream;
  private final List<DeviceBuffer> weights;
  private final Twin gradients;
  private final Twin masters; // null: the weights are F32 themselves
  private final Twin first;
  private final Twin second;
  private final DeviceBuffer normScratch;
  private final DeviceBuffer norm; // [norm, factor]

  /** @param gradients whose places say which weights are trained */
  AdamW(DiffusionVl model, Stream stream, Twin gradients, Predicate<DeviceBuffer> trained) {
    Device device = model.device();
    Parameters parameters = model.parameters();
    this.kernels = model.kernels();
    this.stream = stream;
    this.gradients = gradients;
    this.weights = parameters.buffers().stream().filter(trained).toList();
    try (DeviceScope scope = new DeviceScope(device)) {
      masters = model.dtype() == DType.F32 ? null : scope.own(new Twin(device, "master weights", parameters, trained));
      first = scope.own(new Twin(device, "first moments", parameters, trained));
      second = scope.own(new Twin(device, "second moments", parameters, trained));
      normScratch = scope.allocate("gradient norm scratch", DType.F64, GradientNorm.scratch(gradients.all().elements()));
      norm = scope.allocate("gradient norm", DType.F32, 2);
      stream.fill(first.all(), 0);
      stream.fill(second.all(), 0);
      if (masters != null) {
        stream.fill(masters.all(), 0);
        // The sums of one row each: the weights as F32.
        weights.forEach(w -> kernels.columnSum.launch(stream, w, masters.of(w), 1, Math.toIntExact(w.elements())));
      }
      this.scope = scope.keep();
    }
  }

  /** The global norm of the gradients; waits for them. */
  float gradientNorm(double limit) {
    kernels.gradientNorm.launch(stream, gradients.all(), normScratch, norm, (float) limit);
    return norm.getFloats(stream)[0];
  }

  /**
   * One step with the gradients as clipped by the latest {@link #gradientNorm}.
   *
   * @param rate learning rate of a weight
   * @param step counted from 1
   */
  void step(ToDoubleFunction<DeviceBuffer> rate, double weightDecay, int step) {
    for (DeviceBuffer weight : weights) {
      DeviceBuffer master = masters == null ? weight : masters.of(weight);
      kernels.adamw.launch(stream, master, weight, first.of(weight), second.of(weight), gradients.of(weight), norm.slice(1, 1),
          new Adamw.Settings((float) rate.applyAsDouble(weight), BETA1, BETA2, EPS, (float) weightDecay, step));
    }
  }

  /** What has to be kept to go on later: moments, and the masters or the F32 weights. */
  List<DeviceBuffer> state() {
    return masters == null ? List.of(first.all(), second.all()) : List.of(first.all(), second.all(), masters.all());
  }

  @Override
  public void close() {
    scope.close();
  }
}
