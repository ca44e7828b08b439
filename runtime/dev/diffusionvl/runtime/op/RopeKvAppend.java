// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** Bias, rotary embedding (docs/model.md, "Language model") and the write of K and V into their cache slots. */
public final class RopeKvAppend extends Op {
  private static final int THREADS = 128;

  public RopeKvAppend(Device device) {
    super(device, "rope_kv_append");
  }

  /**
   * @param qkv F32 accumulators [rows, (heads + 2 kv heads) · head dim]: q, then k, then v
   * @param bias dtype of q, one row of qkv's width, or null
   * @param rope by the positions of the segments
   * @param q BF16, F16 or F32 [rows, heads, head dim]
   * @param kv dtype of q, or with q in BF16 and F16 codes: where keys and values go
   */
  public void launch(Stream stream, DeviceBuffer qkv, DeviceBuffer bias, Rope rope, Segments segments, DeviceBuffer q, KeyValues kv) {
    checkFloat("q", q);
    checkCache(kv, q.dtype(), segments.slotEnd());
    Heads heads = kv.heads();
    long rows = segments.totalRows();
    long width = times(heads.query() + 2L * heads.keyValue(), heads.dim());
    require(width <= Integer.MAX_VALUE, "columns of qkv", width);
    check("qkv", qkv, DType.F32, times(rows, width));
    checkOptional("bias", bias, q.dtype(), width);
    checkRope(rope, segments.positionEnd(), heads.dim());
    check("q", q, q.dtype(), times(rows, (long) heads.query() * heads.dim()));
    cache(stream.launch(instance(q.dtype()), segments.maxRows(), segments.count(), 1, THREADS, 0)
        .ptr(qkv).ptrOrNull(bias).ptr(rope.cos()).ptr(rope.sin()).ptr(segments.buffer()).ptr(q), kv)
        .i32(heads.query()).i32(heads.keyValue()).i32(heads.dim()).i32(kv.slots()).go();
  }
}
