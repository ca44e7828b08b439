// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** Gradient of {@link RopeKvAppend} and of {@link VisionRotary}: gradients of queries, keys and values to that of the QKV product. */
public final class RopeBackward extends Op {
  private static final int THREADS = 128;

  public RopeBackward(Device device) {
    super(device, "rope_backward");
  }

  /**
   * @param dq BF16 or F32 [rows, heads, headDim]
   * @param dk dtype of dq [kvHeads, slots, headDim]
   * @param dv as dk
   * @param cos F32 [positions, headDim / 2]; null: there is no rotation
   * @param sin as cos
   * @param dQkv dtype of dq [rows, (heads + 2 kvHeads) · headDim]: q, then k, then v
   */
  public void launch(Stream stream, DeviceBuffer dq, DeviceBuffer dk, DeviceBuffer dv, DeviceBuffer cos, DeviceBuffer sin,
      Segments segments, DeviceBuffer dQkv, int heads, int kvHeads, int headDim, int slots) {
    require(heads > 0, "heads", heads);
    require(kvHeads > 0, "kv heads", kvHeads);
    require(headDim > 0 && headDim % 2 == 0, "head dim", headDim);
    require(segments.slotEnd() <= slots, "highest slot of the segments, past the cache,", segments.slotEnd());
    long rows = segments.totalRows();
    long table = (long) segments.positionEnd() * (headDim / 2);
    long cache = (long) kvHeads * slots * headDim;
    checkFloat("gradient of the queries", dq);
    check("gradient of the queries", dq, dq.dtype(), rows * heads * headDim);
    check("gradient of the keys", dk, dq.dtype(), cache);
    check("gradient of the values", dv, dq.dtype(), cache);
    checkOptional("cos", cos, DType.F32, table);
    checkOptional("sin", sin, DType.F32, cos == null ? 0 : table);
    check("gradient of the product", dQkv, dq.dtype(), rows * (heads + 2L * kvHeads) * headDim);
    stream.launch(kernel(dq.dtype() == DType.BF16 ? "rope_backward_bf16" : "rope_backward_f32"), segments.maxRows(), segments.count(), 1,
            THREADS, 0)
        .ptr(dq).ptr(dk).ptr(dv).ptrOrNull(cos).ptrOrNull(sin).ptr(segments.buffer()).ptr(dQkv)
        .i32(heads).i32(kvHeads).i32(headDim).i32(slots).go();
  }
}
