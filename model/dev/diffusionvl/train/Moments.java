// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Adamw;
import dev.diffusionvl.runtime.op.Adamw8bit;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.train.TrainingMemory.Use;
import java.util.List;

/** First and second moments of all trained weights, all zero before the first step. */
sealed interface Moments {
  /**
   * The moments of an optimiser.
   *
   * @param owner of their memory
   */
  static Moments of(Optimizer optimizer, TrainingMemory memory, DeviceScope owner, List<DeviceBuffer> weights) {
    return switch (optimizer) {
      case ADAMW -> new Full(owner.own(new Twin(memory.of(Use.MOMENTS), "first moments", weights)),
          owner.own(new Twin(memory.of(Use.MOMENTS), "second moments", weights)));
      case ADAMW_8BIT -> new EightBit(owner.own(codes(memory, "first moments", weights)),
          owner.own(scales(memory, "scales of the first moments", weights)), owner.own(codes(memory, "second moments", weights)),
          owner.own(scales(memory, "scales of the second moments", weights)));
    };
  }

  private static Twin codes(TrainingMemory memory, String what, List<DeviceBuffer> weights) {
    return new Twin(memory.of(Use.MOMENTS), what, DType.U8, weights, DeviceBuffer::elements);
  }

  private static Twin scales(TrainingMemory memory, String what, List<DeviceBuffer> weights) {
    return new Twin(memory.of(Use.MOMENTS), what, DType.F32, weights, weight -> Adamw8bit.scales(weight.elements()));
  }

  /**
   * One step of one weight.
   *
   * @param number of the weight
   * @param clip F32 [1], factor of the gradient
   */
  void step(Kernels kernels, Stream stream, DeviceBuffer master, DeviceBuffer weight, int number, DeviceBuffer gradient, DeviceBuffer clip,
      Adamw.Settings settings);

  /** All memory, in a fixed order. */
  List<DeviceBuffer> state();

  /** In F32. */
  record Full(Twin first, Twin second) implements Moments {
    @Override
    public void step(Kernels kernels, Stream stream, DeviceBuffer master, DeviceBuffer weight, int number, DeviceBuffer gradient,
        DeviceBuffer clip, Adamw.Settings settings) {
      kernels.adamw.launch(stream, master, weight, first.of(weight), second.of(weight), gradient, clip, settings);
    }

    @Override
    public List<DeviceBuffer> state() {
      return List.of(first.all(), second.all());
    }
  }

  /** Codes of 8 bits and the scales of blocks of codes. */
  record EightBit(Twin first, Twin firstScales, Twin second, Twin secondScales) implements Moments {
    @Override
    public void step(Kernels kernels, Stream stream, DeviceBuffer master, DeviceBuffer weight, int number, DeviceBuffer gradient,
        DeviceBuffer clip, Adamw.Settings settings) {
      Adamw8bit.Moments moments = new Adamw8bit.Moments(first.of(weight), firstScales.of(weight), second.of(weight),
          secondScales.of(weight));
      kernels.adamw8bit.launch(stream, master, weight, moments, gradient, clip, settings, number);
    }

    @Override
    public List<DeviceBuffer> state() {
      return List.of(first.all(), firstScales.all(), second.all(), secondScales.all());
    }
  }
}
