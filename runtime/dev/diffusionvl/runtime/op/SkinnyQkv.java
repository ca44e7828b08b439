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
   * @param h BF16 or F32 [rows, k] before the norm, 16-byte aligned; k a multiple of 8
   * @param squares F32 [rows, {@link RowSquares#groups}(k)]: of h
   * @param norm dtype of h [k]: the norm's weight, 16-byte aligned
   * @param w dtype of h [(heads + 2 kvHeads) · 128, k]: q, then k, then v; 16-byte aligned
   * @param bias dtype of h, one for each row of w, 16-byte aligned; or null
   * @param cos F32 [positions, 64]
   * @param sin F32 [positions, 64]
   * @param q dtype of h [rows, heads, 128], 16-byte aligned
   * @param kCache dtype of h [kvHeads, slots, 128], 16-byte aligned
   * @param vCache as kCache
   */
  public void launch(Stream stream, SkinnyWorkspace workspace, DeviceBuffer h, DeviceBuffer squares, DeviceBuffer norm, float eps,
      DeviceBuffer w, DeviceBuffer bias, DeviceBuffer cos, DeviceBuffer sin, Segments segments, DeviceBuffer q, DeviceBuffer kCache,
      DeviceBuffer vCache, int heads, int kvHeads, int slots, int k) {
    require(heads > 0, "heads", heads);
    require(kvHeads > 0, "kv heads", kvHeads);
    require(segments.slotEnd() <= slots, "highest slot of the segments, past the cache,", segments.slotEnd());
    int rows = segments.totalRows();
    int n = Math.multiplyExact(heads + 2 * kvHeads, HEAD_DIM);
    long table = (long) segments.positionEnd() * (HEAD_DIM / 2);
    long cache = (long) kvHeads * slots * HEAD_DIM;
    checkProduct(workspace, "h", h, w, rows, n, k);
    int groups = checkNorm(h, squares, norm, rows, k);
    checkOptional("bias", bias, h.dtype(), n);
    check("cos", cos, DType.F32, table);
    check("sin", sin, DType.F32, table);
    check("q", q, h.dtype(), (long) rows * heads * HEAD_DIM);
    check("k cache", kCache, h.dtype(), cache);
    check("v cache", vCache, h.dtype(), cache);
    checkAligned("q", q);
    checkAligned("k cache", kCache);
    checkAligned("v cache", vCache);
    SkinnySplit split = SkinnySplit.of(n, k, false);
    inPieces(h.dtype(), rows, (first, count) -> begin(stream, workspace, h.dtype(), split, count)
        .ptr(h, (long) first * k).ptr(squares, (long) first * groups).ptr(norm).f32(eps).ptr(w).ptrOrNull(bias).ptr(cos).ptr(sin)
        .ptr(segments.buffer()).ptr(q).ptr(kCache).ptr(vCache).ptr(workspace.partials()).ptr(workspace.arrived())
        .i32(first).i32(count).i32(segments.count()).i32(heads).i32(kvHeads).i32(slots).i32(k).i32(split.span()).go());
  }
}
