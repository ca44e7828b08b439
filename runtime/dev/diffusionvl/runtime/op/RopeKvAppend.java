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
   * @param qkv F32 accumulators [rows, (heads + 2 kvHeads) · headDim]: q, then k, then v
   * @param bias dtype of q, one row of qkv's width, or null
   * @param cos F32 [positions, headDim / 2]
   * @param sin F32 [positions, headDim / 2]
   * @param q BF16 or F32 [rows, heads, headDim]
   * @param kCache dtype of q [kvHeads, slots, headDim]
   * @param vCache as kCache
   */
  public void launch(Stream stream, DeviceBuffer qkv, DeviceBuffer bias, DeviceBuffer cos, DeviceBuffer sin, Segments segments,
      DeviceBuffer q, DeviceBuffer kCache, DeviceBuffer vCache, int heads, int kvHeads, int headDim, int slots) {
    require(heads > 0, "heads", heads);
    require(kvHeads > 0, "kv heads", kvHeads);
    require(headDim > 0 && headDim % 2 == 0, "head dim", headDim);
    require(segments.slotEnd() <= slots, "highest slot of the segments, past the cache,", segments.slotEnd());
    long rows = segments.totalRows();
    long width = (heads + 2L * kvHeads) * headDim;
    long table = (long) segments.positionEnd() * (headDim / 2);
    long cache = (long) kvHeads * slots * headDim;
    checkFloat("q", q);
    check("qkv", qkv, DType.F32, rows * width);
    checkOptional("bias", bias, q.dtype(), width);
    check("cos", cos, DType.F32, table);
    check("sin", sin, DType.F32, table);
    check("q", q, q.dtype(), rows * heads * headDim);
    check("k cache", kCache, q.dtype(), cache);
    check("v cache", vCache, q.dtype(), cache);
    stream.launch(kernel(q.dtype() == DType.BF16 ? "rope_kv_append_bf16" : "rope_kv_append_f32"), segments.maxRows(), segments.count(), 1,
            THREADS, 0)
        .ptr(qkv).ptrOrNull(bias).ptr(cos).ptr(sin).ptr(segments.buffer()).ptr(q).ptr(kCache).ptr(vCache)
        .i32(heads).i32(kvHeads).i32(headDim).i32(slots).go();
  }
}
