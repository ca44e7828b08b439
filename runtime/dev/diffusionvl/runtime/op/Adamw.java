// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** One step of AdamW (Loshchilov and Hutter, 2019) for one tensor. */
public final class Adamw extends Op {
  private static final int THREADS = 256;
  private static final int EACH = 4;

  /**
   * What all tensors of a step and of a learning rate have in common.
   *
   * @param rate learning rate
   * @param decay decoupled weight decay
   * @param step counted from 1
   */
  public record Settings(float rate, float beta1, float beta2, float eps, float decay, int step) {
    /** What the first moment is divided by: moments begin at 0. */
    float correction1() {
      return (float) (1 - Math.pow(beta1, step));
    }

    float correction2() {
      return (float) (1 - Math.pow(beta2, step));
    }
  }

  public Adamw(Device device) {
    super(device, "adamw", TRAINED);
  }

  /**
   * @param master F32 [n]
   * @param weight BF16 or F32 [n]: gets the rounded master; may be master
   * @param m F32 [n], first moment
   * @param v F32 [n], second moment
   * @param gradient F32 [n]
   * @param clip F32 [1], factor of the gradient
   */
  public void launch(Stream stream, DeviceBuffer master, DeviceBuffer weight, DeviceBuffer m, DeviceBuffer v, DeviceBuffer gradient,
      DeviceBuffer clip, Settings settings) {
    long n = master.elements();
    require(settings.step() > 0, "step", settings.step());
    checkFloat("weight", weight);
    check("master", master, DType.F32, n);
    check("weight", weight, weight.dtype(), n);
    check("first moment", m, DType.F32, n);
    check("second moment", v, DType.F32, n);
    check("gradient", gradient, DType.F32, n);
    check("clip", clip, DType.F32, 1);
    int blocks = Math.toIntExact((n + THREADS * EACH - 1) / (THREADS * EACH));
    stream.launch(instance(weight.dtype()), blocks, 1, 1, THREADS, 0)
        .ptr(master).ptr(weight).ptr(m).ptr(v).ptr(gradient).ptr(clip).i64(n).f32(settings.rate()).f32(settings.beta1())
        .f32(settings.beta2()).f32(settings.eps()).f32(settings.decay()).f32(settings.correction1()).f32(settings.correction2()).go();
  }
}
