// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import java.util.List;

/** Gradient of {@link Attention} (docs/model.md, "Training objective"), in two launches: of the queries, then of keys and values. */
public final class AttentionBackward extends Op {
  private static final int THREADS = 128;
  private static final int TILE = 16; // packed rows of a block, and slots

  /** The kernels for heads of one size. */
  private record Kernel(Instances queries, Instances keys) {
    Kernel(Device device, int headDim) {
      this(new Instances(device, "attention_backward_simt", "attention_backward_q_d" + headDim, List.of(DType.F32)),
          new Instances(device, "attention_backward_simt", "attention_backward_kv_d" + headDim, List.of(DType.F32)));
    }
  }

  private final Kernel d128;
  private final Kernel d80;
  private final Kernel d72;

  public AttentionBackward(Device device) {
    super(device, "attention_backward");
    d128 = new Kernel(device, 128);
    d80 = new Kernel(device, 80);
    d72 = new Kernel(device, 72);
  }

  /**
   * @param q F32 [rows, heads, head dim], 16-byte aligned
   * @param kv dtype of q, 16-byte aligned; heads of 128, 80 or 72 dimensions
   * @param segments the rows, and what they see
   * @param out as q: what {@link Attention} made
   * @param logSumExp F32 [rows, heads]: likewise
   * @param dOut as q: gradient of out
   * @param dq as q: the gradient of q, at the rows of the segments
   * @param dKv as kv: the gradients of keys and values, of every slot; 0 where nobody sees it
   * @param delta F32 [rows, heads], scratch
   * @param scale of the scores, as for {@link Attention}
   */
  public void launch(Stream stream, DeviceBuffer q, KeyValues kv, Segments segments, DeviceBuffer out, DeviceBuffer logSumExp,
      DeviceBuffer dOut, DeviceBuffer dq, KeyValues dKv, DeviceBuffer delta, float scale) {
    checkFloat("q", q);
    Heads heads = kv.heads();
    int headDim = heads.dim();
    require(headDim == 128 || headDim == 80 || headDim == 72, "head dim, of which there are kernels for 128, 80 and 72,", headDim);
    checkKeyValues(kv, q.dtype(), segments.slotEnd());
    checkKeyValues(dKv, q.dtype(), segments.slotEnd());
    require(dKv.slots() == kv.slots(), "slots of the gradients of keys and values", dKv.slots());
    long rows = segments.totalRows();
    long elements = times(rows, (long) heads.query() * headDim);
    check("q", q, q.dtype(), elements);
    check("out", out, q.dtype(), elements);
    check("gradient of out", dOut, q.dtype(), elements);
    check("gradient of q", dq, q.dtype(), elements);
    check("log-sum-exp", logSumExp, DType.F32, times(rows, heads.query()));
    check("delta", delta, DType.F32, times(rows, heads.query()));
    checkAligned("q", q);
    checkAligned("keys", kv.keys());
    checkAligned("values", kv.values());
    checkAligned("gradient of out", dOut);
    Kernel kernel = headDim == 128 ? d128 : headDim == 80 ? d80 : d72;
    int packedRows = Math.multiplyExact(segments.maxRows(), heads.query() / heads.keyValue());
    stream.launch(kernel.queries.of(q.dtype()), blocks(packedRows, TILE), heads.keyValue(), segments.count(), THREADS, 0)
        .ptr(q).ptr(kv.keys()).ptr(kv.values()).ptr(segments.buffer()).ptr(out).ptr(logSumExp).ptr(dOut).ptr(dq).ptr(delta)
        .i32(heads.query()).i32(heads.keyValue()).i32(kv.slots()).f32(scale).go();
    stream.launch(kernel.keys.of(q.dtype()), blocks(kv.slots(), TILE), heads.keyValue(), 1, THREADS, 0)
        .ptr(q).ptr(kv.keys()).ptr(kv.values()).ptr(segments.buffer()).ptr(logSumExp).ptr(dOut).ptr(delta).ptr(dKv.keys()).ptr(dKv.values())
        .i32(segments.count()).i32(heads.query()).i32(heads.keyValue()).i32(kv.slots()).f32(scale).go();
  }
}
