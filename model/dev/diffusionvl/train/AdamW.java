// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Adamw;
import dev.diffusionvl.runtime.op.Kernels;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * AdamW (Loshchilov and Hutter, 2019) over the trained weights of a model: moments in F32 or 8 bits, and f32 master weights where the model
 * computes in BF16. Gradients are clipped by their global norm, on the device.
 *
 * <pre>
 *   g = gradient min(1, limit / norm)       m = 0.9 m + 0.1 g       v = 0.999 v + 0.001 g²
 *   w = w (1 − rate decay) − rate (m / (1 − 0.9^step)) / (√(v / (1 − 0.999^step)) + 1e-8)
 * </pre>
 *
 * <p>The numbers are those of the authors' recipe (docs/model.md, "Training objective").
 */
public final class AdamW {
  private static final float BETA1 = 0.9f;
  private static final float BETA2 = 0.999f;
  private static final float EPS = 1e-8f;

  private final Kernels kernels;
  private final Stream stream;
  private final TrainingState state;

  /** @param state whose moments and masters become those before the first step */
  AdamW(Kernels kernels, Stream stream, TrainingState state) {
    this.kernels = kernels;
    this.stream = stream;
    this.state = state;
    state.moments.state().forEach(moments -> stream.fill(moments, 0));
    if (state.masters != null) {
      stream.fill(state.masters.all(), 0);
      // The sums of one row each: the weights as F32.
      state.trained.all().forEach(w -> kernels.columnSum.launch(stream, w, state.masters.of(w), 1, Math.toIntExact(w.elements())));
    }
  }

  /** The global norm of the gradients; waits for them. */
  float gradientNorm(double limit) {
    kernels.gradientNorm.launch(stream, state.gradients.all(), state.norm.scratch(), state.norm.result(), (float) limit);
    return state.norm.result().getFloats(stream)[0];
  }

  /**
   * One step with the gradients as clipped by the latest {@link #gradientNorm}.
   *
   * @param rate learning rate of a weight
   * @param step counted from 1
   */
  void step(ToDoubleFunction<DeviceBuffer> rate, double weightDecay, int step) {
    List<DeviceBuffer> weights = state.trained.all();
    for (int i = 0; i < weights.size(); i++) {
      DeviceBuffer weight = weights.get(i);
      DeviceBuffer master = state.masters == null ? weight : state.masters.of(weight);
      state.moments.step(kernels, stream, master, weight, i, state.gradients.of(weight), state.norm.result().slice(1, 1),
          new Adamw.Settings((float) rate.applyAsDouble(weight), BETA1, BETA2, EPS, (float) weightDecay, step));
    }
  }

  /** What has to be kept to go on later: moments, and masters where the weights are not F32 themselves. */
  List<DeviceBuffer> state() {
    List<DeviceBuffer> all = new ArrayList<>(state.moments.state());
    if (state.masters != null) {
      all.add(state.masters.all());
    }
    return all;
  }
}
