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
    super(device, "rope_backward", TRAINED);
  }

  /**
   * @param dq BF16 or F32 [rows, heads, head dim]
   * @param dKv dtype of dq: the gradients of keys and values
   * @param rope by the positions of the segments; null: there is no rotation
   * @param dQkv dtype of dq [rows, (heads + 2 kv heads) · head dim]: q, then k, then v
   */
  public void launch(Stream stream, DeviceBuffer dq, KeyValues dKv, Rope rope, Segments segments, DeviceBuffer dQkv) {
    checkFloat("gradient of the queries", dq);
    checkKeyValues(dKv, dq.dtype(), segments.slotEnd());
    Heads heads = dKv.heads();
    long rows = segments.totalRows();
    if (rope != null) {
      checkRope(rope, segments.positionEnd(), heads.dim());
    }
    check("gradient of the queries", dq, dq.dtype(), times(rows, (long) heads.query() * heads.dim()));
    check("gradient of the product", dQkv, dq.dtype(), times(rows, times(heads.query() + 2L * heads.keyValue(), heads.dim())));
    stream.launch(instance(dq.dtype()), segments.maxRows(), segments.count(), 1, THREADS, 0)
        .ptr(dq).ptr(dKv.keys()).ptr(dKv.values()).ptrOrNull(rope == null ? null : rope.cos()).ptrOrNull(rope == null ? null : rope.sin())
        .ptr(segments.buffer()).ptr(dQkv).i32(heads.query()).i32(heads.keyValue()).i32(heads.dim()).i32(dKv.slots()).go();
  }
}
