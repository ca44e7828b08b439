// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples.lowlevel;

import static dev.diffusionvl.runtime.DType.F32;
import static dev.diffusionvl.runtime.DType.I32;

import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.BlockTable;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.Predictions;
import dev.diffusionvl.runtime.op.Remask;
import dev.diffusionvl.runtime.op.Sample;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * Low-confidence remasking, step by step: 8 masks, 2 commits per step. The "model" proposes token 100 + position, with a new
 * confidence each time.
 */
public final class Remasking {
  private static final int BLOCK = 8;
  private static final int STEPS = 4;
  private static final int MASK_ID = 9;

  private Remasking() {}

  /** @param arguments none */
  public static void main(String[] arguments) {
    SplittableRandom random = new SplittableRandom(3);
    try (Device device = Device.open(DeviceSpec.AUTO); Stream stream = device.newStream();
        DeviceBuffer token = device.allocate("token", I32, BLOCK); DeviceBuffer probability = device.allocate("probability", F32, BLOCK);
        DeviceBuffer task = device.allocate("task", I32, 4); BlockTable table = new BlockTable(device, 1, BLOCK, 1)) {
      Remask remask = new Kernels(device).remask;
      table.start(0, new Remask.Rule(false, 0, BLOCK, STEPS, 0), new Sample.Rule(0, 0, 1, -1, 0, false));
      int[] masks = new int[BLOCK];
      Arrays.fill(masks, MASK_ID);
      table.begin(0, masks, MASK_ID);
      table.upload(stream, 0); // from here on the kernel counts
      task.set(stream, 0, 0, 1, 0); // slot 0, predictions from row 0 on, no drafts
      float[] confidence = new float[BLOCK];
      for (int step = 0; table.masked(0) > 0; step++) {
        for (int i = 0; i < BLOCK; i++) {
          confidence[i] = (float) random.nextDouble();
        }
        token.set(stream, IntStream.range(100, 100 + BLOCK).toArray());
        probability.set(stream, confidence);
        remask.launch(stream, new Predictions(token, probability), BLOCK, table.blocks(), task, 1, MASK_ID);
        table.download(stream);
        stream.synchronize();
        System.out.printf("step %d: %s, open %d%n", step, IntStream.range(0, BLOCK).map(i -> table.id(0, i)).boxed().toList(),
            table.masked(0));
      }
    }
  }
}
