// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;


import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.KernelFunction;
import dev.diffusionvl.runtime.Stream;

/** Block-masked attention over segments: prefill, denoising, fused store and vision windows (spec 5.1, 6). */
public final class Attention extends Op {
  private static final int THREADS = 128;

  public Attention(Device device) {
    super(device, "attention");
  }

  /**
   * @param q BF16 or F32 [rows, heads, headDim]
   * @param k dtype of q [kvHeads, slots, headDim]
   * @param v as k
   * @param out as q
   * @param headDim 128, 80 or 72
   * @param scale of the scores, usually 1/√headDim
   */
  public void launch(Stream stream, DeviceBuffer q, DeviceBuffer k, DeviceBuffer v, Segments segments, DeviceBuffer out, int heads,
      int kvHeads, int headDim, int slots, float scale) {
    require(kvHeads > 0, "kv heads", kvHeads);
    require(heads > 0 && heads % kvHeads == 0, "heads", heads);
    require(segments.slotEnd() <= slots, "highest slot of the segments, past the cache,", segments.slotEnd());
    long rows = segments.totalRows();
    long cache = (long) kvHeads * slots * headDim;
    checkFloat("q", q);
    check("q", q, q.dtype(), rows * heads * headDim);
    check("k", k, q.dtype(), cache);
    check("v", v, q.dtype(), cache);
    check("out", out, q.dtype(), rows * heads * headDim);
    stream.launch(instance(headDim, q.dtype()), segments.maxRows(), heads, segments.count(), THREADS, 0)
        .ptr(q).ptr(k).ptr(v).ptr(segments.buffer()).ptr(out).i32(heads).i32(kvHeads).i32(slots).f32(scale).go();
  }

  private KernelFunction instance(int headDim, DType dtype) {
    require(headDim == 128 || headDim == 80 || headDim == 72, "head dim, of which there are kernels for 128, 80 and 72,", headDim);
    boolean bf16 = dtype == DType.BF16;
    return switch (headDim) {
      case 128 -> kernel(bf16 ? "attention_d128_bf16" : "attention_d128_f32");
      case 80 -> kernel(bf16 ? "attention_d80_bf16" : "attention_d80_f32");
      default -> kernel(bf16 ? "attention_d72_bf16" : "attention_d72_f32");
    };
  }
}
