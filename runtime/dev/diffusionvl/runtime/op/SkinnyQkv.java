// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** RMSNorm, QKV product, bias, rotary embedding and the write of K and V into their cache slots by our own kernel for few rows. */
public final class SkinnyQkv extends SkinnyOp {
  /** Dimensions of a head that the kernel is made for: a tile is a head. */
  public static final int HEAD_DIM = SkinnySplit.TILE;

  public SkinnyQkv(Device device) {
    super(device, "skinny_qkv");
  }

  /**
   * Rows 0 to the end of the segments.
   *
   * @param h before the norm
   * @param linear [(heads + 2 kv heads) · 128, in]: q, then k, then v
   * @param rope by the positions of the segments, 16-byte aligned
   * @param q dtype of h [rows, heads, 128], 16-byte aligned
   * @param kv dtype of h, or with h in BF16 and F16 codes, 16-byte aligned; heads of {@value #HEAD_DIM} dimensions
   */
  public void launch(Stream stream, SkinnyWorkspace workspace, Residual h, NormedLinear linear, Rope rope, Segments segments,
      DeviceBuffer q, KeyValues kv) {
    int rows = segments.totalRows();
    checkNormed(workspace, h, linear, rows);
    DType dtype = h.rows().dtype();
    Heads heads = kv.heads();
    require(heads.dim() == HEAD_DIM, "head dim", heads.dim());
    checkCache(kv, dtype, segments.slotEnd());
    require(linear.out() == times(heads.query() + 2L * heads.keyValue(), HEAD_DIM), "columns of q, k and v", linear.out());
    checkRope(rope, segments.positionEnd(), HEAD_DIM);
    check("q", q, dtype, (long) rows * heads.query() * HEAD_DIM);
    checkAligned("cos", rope.cos());
    checkAligned("sin", rope.sin());
    checkAligned("q", q);
    checkAligned("keys", kv.keys());
    checkAligned("values", kv.values());
    if (linear.bias() != null) {
      checkAligned("bias", linear.bias());
    }
    SkinnySplit split = SkinnySplit.of(linear.out(), linear.in(), false);
    inPieces(dtype, rows, (first, count) -> cache(begin(stream, workspace, h, linear, split, first, count)
        .ptrOrNull(linear.bias()).ptr(rope.cos()).ptr(rope.sin()).ptr(segments.buffer()).ptr(q), kv)
        .ptr(workspace.partials()).ptr(workspace.arrived()).i32(first).i32(count).i32(segments.count())
        .i32(heads.query()).i32(heads.keyValue()).i32(kv.slots()).i32(linear.in()).i32(split.span()).go());
  }
}
