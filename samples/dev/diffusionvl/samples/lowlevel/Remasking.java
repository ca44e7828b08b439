// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples.lowlevel;

import static dev.diffusionvl.runtime.DType.F32;
import static dev.diffusionvl.runtime.DType.I32;

import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.Predictions;
import dev.diffusionvl.runtime.op.Remask;
import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * Low-confidence remasking, step by step: 8 masks, 2 commits per step. The "model" proposes token 100 + position, with a new
 * confidence each time.
 */
public final class Remasking {
  private static final int BLOCK = 8;
  private static final int QUOTA = 2;
  private static final int MASK_ID = 9;
  private static final Remask.Rule RULE = new Remask.Rule(false, 0, MASK_ID);

  private Remasking() {}

  /** @param arguments none */
  public static void main(String[] arguments) {
    SplittableRandom random = new SplittableRandom(3);
    try (Device device = Device.open(DeviceSpec.AUTO); Stream stream = device.newStream();
        DeviceBuffer token = device.allocate("token", I32, BLOCK); DeviceBuffer probability = device.allocate("probability", F32, BLOCK);
        DeviceBuffer ids = device.allocate("ids", I32, BLOCK); DeviceBuffer stepOf = device.allocate("step of", I32, BLOCK);
        DeviceBuffer sure = device.allocate("confidence", F32, BLOCK); DeviceBuffer quota = device.allocate("quota", I32, BLOCK / QUOTA);
        DeviceBuffer status = device.allocate("status", I32, Remask.STATUS_FIELDS)) {
      Remask remask = new Kernels(device).remask;
      ids.set(stream, MASK_ID, MASK_ID, MASK_ID, MASK_ID, MASK_ID, MASK_ID, MASK_ID, MASK_ID);
      quota.set(stream, QUOTA, QUOTA, QUOTA, QUOTA); // by step
      stream.fill(stepOf, 0xff); // -1: by no step yet
      int[] fields = new int[Remask.STATUS_FIELDS];
      fields[Remask.MASKED] = BLOCK;
      status.set(stream, fields); // from here on the kernel counts
      int[] proposal = new int[BLOCK];
      float[] confidence = new float[BLOCK];
      for (int step = 0, open = BLOCK; open > 0; step++) {
        for (int i = 0; i < BLOCK; i++) {
          proposal[i] = 100 + i;
          confidence[i] = (float) random.nextDouble();
        }
        token.set(stream, proposal);
        probability.set(stream, confidence);
        remask.launch(stream, new Predictions(token, probability), new Remask.Block(ids, stepOf, sure, status), quota, BLOCK, 1, 0, RULE);
        open = status.getInts(stream)[Remask.MASKED];
        System.out.printf("step %d: %s, open %d%n", step, Arrays.toString(ids.getInts(stream)), open);
      }
    }
  }
}
