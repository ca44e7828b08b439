// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;


import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** One step's commits: static or dynamic low-confidence remasking with the token update on the device (spec 7). */
public final class Remask extends Op {
  private static final int THREADS = 256;

  public Remask(Device device) {
    super(device, "remask");
  }

  /**
   * @param token I32 [rows]: what each row would become
   * @param probability F32 [rows]: its confidence
   * @param ids I32 [rows]: updated where committed
   * @param masked I32 [rows]: not 0 where still open; cleared where committed, unless the token is the mask id
   * @param committed I32 [rows]: 1 where this step committed
   * @param status I32 [3]: committed, still masked, 1 if a masked row's probability is NaN (then nothing is committed)
   * @param quota commits of a static step, least number of a dynamic one
   * @param dynamic commit all with probability &gt; threshold if they are at least {@code quota}
   */
  public void launch(Stream stream, DeviceBuffer token, DeviceBuffer probability, DeviceBuffer ids, DeviceBuffer masked,
      DeviceBuffer committed, DeviceBuffer status, int rows, int quota, boolean dynamic, float threshold, int maskId) {
    require(rows >= 0, "rows", rows);
    require(quota >= 0, "quota", quota);
    check("token", token, DType.I32, rows);
    check("probability", probability, DType.F32, rows);
    check("ids", ids, DType.I32, rows);
    check("masked", masked, DType.I32, rows);
    check("committed", committed, DType.I32, rows);
    check("status", status, DType.I32, 3);
    stream.launch(kernel("remask"), 1, 1, 1, THREADS, 0)
        .ptr(token).ptr(probability).ptr(ids).ptr(masked).ptr(committed).ptr(status).i32(rows).i32(quota).i32(dynamic ? 1 : 0)
        .f32(threshold).i32(maskId).go();
  }
}
