// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.KernelFunction;
import dev.diffusionvl.runtime.Stream;

/**
 * Block-masked attention over segments: prefill, denoising, fused store and vision windows (docs/model.md, "Qwen vision tower" and
 * "Language model"). BF16 runs on tensor cores, F32 on a plain kernel for fidelity tests.
 */
public final class Attention extends Op {
  private static final int THREADS = 128;
  private static final int TILE_ROWS = 64; // packed rows of a block without a workspace
  private static final int KEY_TILE = 64;
  private static final int STAGES = 2;

  public Attention(Device device) {
    super(device, "attention");
  }

  /** As below, without a workspace: for passes of many rows (prefill, vision). */
  public void launch(Stream stream, DeviceBuffer q, DeviceBuffer k, DeviceBuffer v, Segments segments, DeviceBuffer out, int heads,
      int kvHeads, int headDim, int slots, float scale) {
    launch(stream, q, k, v, segments, out, heads, kvHeads, headDim, slots, scale, null);
  }

  /**
   * @param q BF16 or F32 [rows, heads, headDim]
   * @param k dtype of q [kvHeads, slots, headDim]
   * @param v as k
   * @param out as q
   * @param headDim 128, 80 or 72
   * @param scale of the scores, usually 1/√headDim
   * @param workspace splits the keys over several blocks, for passes of few rows (denoising); null: one block goes through all keys of its
   *     rows. F32 does not look at it.
   */
  public void launch(Stream stream, DeviceBuffer q, DeviceBuffer k, DeviceBuffer v, Segments segments, DeviceBuffer out, int heads,
      int kvHeads, int headDim, int slots, float scale, AttentionWorkspace workspace) {
    require(kvHeads > 0, "kv heads", kvHeads);
    require(heads > 0 && heads % kvHeads == 0, "heads", heads);
    require(headDim == 128 || headDim == 80 || headDim == 72, "head dim, of which there are kernels for 128, 80 and 72,", headDim);
    require(segments.slotEnd() <= slots, "highest slot of the segments, past the cache,", segments.slotEnd());
    long rows = segments.totalRows();
    long cache = (long) kvHeads * slots * headDim;
    checkFloat("q", q);
    check("q", q, q.dtype(), rows * heads * headDim);
    check("k", k, q.dtype(), cache);
    check("v", v, q.dtype(), cache);
    check("out", out, q.dtype(), rows * heads * headDim);
    int count = segments.count();
    if (q.dtype() == DType.F32) {
      String name = headDim == 128 ? "attention_d128_f32" : headDim == 80 ? "attention_d80_f32" : "attention_d72_f32";
      stream.launch(kernel("attention_simt", name), segments.maxRows(), heads, count, THREADS, 0)
          .ptr(q).ptr(k).ptr(v).ptr(segments.buffer()).ptr(out).i32(heads).i32(kvHeads).i32(slots).f32(scale).go();
      return;
    }
    int packedRows = segments.maxRows() * (heads / kvHeads);
    if (workspace == null) {
      String name = headDim == 128 ? "attention_d128_bf16" : headDim == 80 ? "attention_d80_bf16" : "attention_d72_bf16";
      int shared = sharedBytes(TILE_ROWS, headDim);
      stream.launch(kernel(name, shared), blocks(packedRows, TILE_ROWS), kvHeads, count, THREADS, shared)
          .ptr(q).ptr(k).ptr(v).ptr(segments.buffer()).ptr(out).i32(heads).i32(kvHeads).i32(slots).f32(scale).go();
      return;
    }
    workspace.check(heads, kvHeads, headDim, segments);
    String name = headDim == 128 ? "attention_split_d128_bf16" : headDim == 80 ? "attention_split_d80_bf16" : "attention_split_d72_bf16";
    int shared = sharedBytes(AttentionWorkspace.TILE_ROWS, headDim);
    int tiles = blocks(packedRows, AttentionWorkspace.TILE_ROWS);
    stream.launch(kernel(name, shared), tiles * workspace.maxSplits(), kvHeads, count, THREADS, shared)
        .ptr(q).ptr(k).ptr(v).ptr(segments.buffer()).ptr(out).i32(heads).i32(kvHeads).i32(slots).f32(scale)
        .ptr(workspace.partial()).ptr(workspace.arrived()).i32(workspace.maxSplits()).go();
  }

  private KernelFunction kernel(String function, int sharedBytes) {
    KernelFunction kernel = kernel(function);
    kernel.allowDynamicShared(sharedBytes);
    return kernel;
  }

  /** A tile of rows, and stages of keys and values; rows padded to 16 columns. */
  private static int sharedBytes(int rows, int headDim) {
    return (rows + 2 * STAGES * KEY_TILE) * blocks(headDim, 16) * 32;
  }
}
