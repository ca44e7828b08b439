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
   * @param qkv F32 accumulators [rows, 3, heads, head dim]
   * @param bias dtype of q [3, heads, head dim], or null
   * @param rope by row, or null: no rotation
   * @param q BF16, F16 or F32 [rows, heads, head dim]
   * @param kv dtype of q: where keys and values go; as many heads as q has, one slot per row
   */
  public void launch(Stream stream, DeviceBuffer qkv, DeviceBuffer bias, Rope rope, DeviceBuffer q, KeyValues kv) {
    int rows = kv.slots();
    Heads heads = kv.heads();
    require(rows >= 0, "rows", rows);
    checkFloat("q", q);
    checkKeyValues(kv, q.dtype(), rows);
    require(heads.keyValue() == heads.query(), "kv heads, not as many as heads,", heads.keyValue());
    long width = (long) heads.query() * heads.dim();
    require(width <= Integer.MAX_VALUE / 3, "columns of q", width);
    check("qkv", qkv, DType.F32, times(rows, 3 * width));
    checkOptional("bias", bias, q.dtype(), 3 * width);
    if (rope != null) {
      checkRope(rope, rows, heads.dim());
    }
    check("q", q, q.dtype(), rows * width);
    stream.launch(instance(q.dtype()), rows, 1, 1, THREADS, 0)
        .ptr(qkv).ptrOrNull(bias).ptrOrNull(rope == null ? null : rope.cos()).ptrOrNull(rope == null ? null : rope.sin())
        .ptr(q).ptr(kv.keys()).ptr(kv.values()).i32(rows).i32(heads.query()).i32(heads.dim()).go();
  }
}
