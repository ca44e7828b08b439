// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.KernelFunction;
import dev.diffusionvl.runtime.Launch;
import dev.diffusionvl.runtime.Stream;
import java.util.List;

/**
 * Gradient of {@link Attention} (docs/model.md, "Training objective"), in two launches: of the queries, then of keys and values. BF16 runs
 * on tensor cores, F32 on plain kernels.
 */
public final class AttentionBackward extends Op {
  private static final int THREADS = 128;
  private static final int STAGES = 2;
  private static final int PASSED = 32; // rows of a tile of a stage, on tensor cores

  /**
   * The kernels of one dtype for heads of one size.
   *
   * @param kept rows that a block keeps: packed query rows in one kernel, slots in the other
   */
  private record Form(DType dtype, Instances queries, Instances keys, int kept, int sharedBytes) {
    Form(Device device, String file, int headDim, DType dtype, int kept, int sharedBytes) {
      this(dtype, new Instances(device, file, "attention_backward_q_d" + headDim, List.of(dtype)),
          new Instances(device, file, "attention_backward_kv_d" + headDim, List.of(dtype)), kept, sharedBytes);
    }

    Launch launch(Stream stream, Instances instances, int items, int heads, int segments) {
      KernelFunction kernel = instances.of(dtype);
      kernel.allowDynamicShared(sharedBytes);
      return stream.launch(kernel, blocks(items, kept), heads, segments, THREADS, sharedBytes);
    }
  }

  /** The kernels for heads of one size. */
  private record Kernel(Form simt, Form tiled) {
    Kernel(Device device, int headDim) {
      this(new Form(device, "attention_backward_simt", headDim, DType.F32, 16, 0),
          new Form(device, "attention_backward", headDim, DType.BF16, 64, 2 * (64 + STAGES * PASSED) * blocks(headDim, 16) * 32));
    }
  }

  private final Kernel d128;
  private final Kernel d80;
  private final Kernel d72;

  public AttentionBackward(Device device) {
    super(device, "attention_backward", TRAINED);
    d128 = new Kernel(device, 128);
    d80 = new Kernel(device, 80);
    d72 = new Kernel(device, 72);
  }

  /**
   * All buffers but {@code logSumExp} and {@code delta} start at a multiple of 16 bytes.
   *
   * @param q BF16 or F32 [rows, heads, head dim]
   * @param kv dtype of q; heads of 128, 80 or 72 dimensions
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
    checkAligned("out", out);
    checkAligned("gradient of out", dOut);
    checkAligned("gradient of q", dq);
    checkAligned("gradient of keys", dKv.keys());
    checkAligned("gradient of values", dKv.values());
    Kernel kernel = headDim == 128 ? d128 : headDim == 80 ? d80 : d72;
    Form form = q.dtype() == DType.F32 ? kernel.simt : kernel.tiled;
    int packedRows = Math.multiplyExact(segments.maxRows(), heads.query() / heads.keyValue());
    form.launch(stream, form.queries, packedRows, heads.keyValue(), segments.count())
        .ptr(q).ptr(kv.keys()).ptr(kv.values()).ptr(segments.buffer()).ptr(out).ptr(logSumExp).ptr(dOut).ptr(dq).ptr(delta)
        .i32(heads.query()).i32(heads.keyValue()).i32(kv.slots()).f32(scale).go();
    form.launch(stream, form.keys, kv.slots(), heads.keyValue(), 1)
        .ptr(q).ptr(kv.keys()).ptr(kv.values()).ptr(segments.buffer()).ptr(logSumExp).ptr(dOut).ptr(delta).ptr(dKv.keys()).ptr(dKv.values())
        .i32(segments.count()).i32(heads.query()).i32(heads.keyValue()).i32(kv.slots()).f32(scale).go();
  }
}
