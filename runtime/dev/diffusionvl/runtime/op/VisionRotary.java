// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/**
 * Bias and, where the tower has it, 2-D rotary embedding (docs/model.md, "Qwen vision tower"), splitting the QKV product of a vision tower.
 */
public final class VisionRotary extends Op {
  private static final int THREADS = 128;

  public VisionRotary(Device device) {
    super(device, "vision_rotary");
  }

  /**
   * @param qkv F32 accumulators [rows, 3, heads, headDim]
   * @param bias dtype of q [3, heads, headDim], or null
   * @param cos F32 [rows, headDim / 2], or null with sin: no rotation
   * @param sin as cos
   * @param q BF16 or F32 [rows, heads, headDim]
   * @param k dtype of q [heads, rows, headDim]
   * @param v as k
   */
  public void launch(Stream stream, DeviceBuffer qkv, DeviceBuffer bias, DeviceBuffer cos, DeviceBuffer sin, DeviceBuffer q, DeviceBuffer k,
      DeviceBuffer v, int rows, int heads, int headDim) {
    require(rows >= 0, "rows", rows);
    require(heads > 0, "heads", heads);
    require(headDim > 0 && headDim % 2 == 0, "head dim", headDim);
    long width = (long) heads * headDim;
    checkFloat("q", q);
    check("qkv", qkv, DType.F32, 3 * rows * width);
    checkOptional("bias", bias, q.dtype(), 3 * width);
    if (cos != null || sin != null) {
      check("cos", cos, DType.F32, (long) rows * (headDim / 2));
      check("sin", sin, DType.F32, (long) rows * (headDim / 2));
    }
    check("q", q, q.dtype(), rows * width);
    check("k", k, q.dtype(), rows * width);
    check("v", v, q.dtype(), rows * width);
    stream.launch(kernel(q.dtype() == DType.BF16 ? "vision_rotary_bf16" : "vision_rotary_f32"), rows, 1, 1, THREADS, 0)
        .ptr(qkv).ptrOrNull(bias).ptrOrNull(cos).ptrOrNull(sin).ptr(q).ptr(k).ptr(v).i32(rows).i32(heads).i32(headDim).go();
  }
}
