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
 * Block-masked attention over segments: prefill, denoising, fused store and vision windows (docs/model.md, "Qwen vision tower" and
 * "Language model"). BF16 and F16 run on tensor cores, F32 on a plain kernel for fidelity tests.
 */
public final class Attention extends Op {
  private static final int THREADS = 128;
  private static final int TILE_ROWS = 64; // packed rows of a block without a workspace
  private static final int KEY_TILE = 64;
  private static final int STAGES = 2;

  /** The kernels for heads of one size, and for numbers or codes. */
  private record Kernel(Instances simt, Instances tiled, Instances split) {
    Kernel(Device device, int headDim) {
      this(new Instances(device, "attention_simt", "attention_d" + headDim, List.of(DType.F32)),
          new Instances(device, "attention", "attention_d" + headDim, HALVES),
          new Instances(device, "attention", "attention_split_d" + headDim, HALVES));
    }

    static Kernel ofCodes(Device device) {
      return new Kernel(null, codes(device, "attention_d"), codes(device, "attention_split_d"));
    }

    private static Instances codes(Device device, String stem) {
      return new Instances(device, "attention", HALVES, dtype -> stem + KeyValues.CODED_DIM + "_" + dtype.suffix() + "_fp8");
    }
  }

  private final Kernel d128;
  private final Kernel d80;
  private final Kernel d72;
  private final Kernel codes;

  public Attention(Device device) {
    super(device, "attention");
    d128 = new Kernel(device, 128);
    d80 = new Kernel(device, 80);
    d72 = new Kernel(device, 72);
    codes = Kernel.ofCodes(device);
  }

  /** As below, without a workspace: for passes of many rows (prefill, vision). */
  public void launch(Stream stream, DeviceBuffer q, KeyValues kv, Segments segments, DeviceBuffer out, float scale) {
    launch(stream, q, kv, segments, out, scale, null);
  }

  /**
   * @param q BF16, F16 or F32 [rows, heads, head dim], 16-byte aligned
   * @param kv dtype of q, 16-byte aligned; heads of 128, 80 or 72 dimensions; or with q in BF16 and F16 codes
   * @param out as q
   * @param scale of the scores, usually 1/√(head dim)
   * @param workspace splits the keys over several blocks, for passes of few rows (denoising); null: one block goes through all keys of its
   *     rows. F32 does not look at it.
   */
  public void launch(Stream stream, DeviceBuffer q, KeyValues kv, Segments segments, DeviceBuffer out, float scale,
      AttentionWorkspace workspace) {
    checkFloat("q", q);
    Kernel kernel = checked(q, kv, segments, out);
    Heads heads = kv.heads();
    if (q.dtype() == DType.F32 || workspace == null) {
      launchWhole(stream, kernel, q, kv, segments, out, null, scale);
      return;
    }
    workspace.check(heads, segments);
    int together = workspace.tilesOfBlock(segments);
    int rows = together * AttentionWorkspace.TILE_ROWS;
    int shared = Math.max(sharedBytes(rows, kv), meetingBytes(together, heads.dim()));
    int tiles = blocks(Math.multiplyExact(segments.maxRows(), heads.query() / heads.keyValue()), rows);
    Launch launch = stream.launch(allowing(kernel.split.of(q.dtype()), shared), tiles, heads.keyValue(),
        Math.multiplyExact(segments.count(), workspace.mostRanges()), together * THREADS, shared);
    if (workspace.overlap()) {
      launch.overlapping();
    }
    keysAndValues(launch.ptr(q), kv).ptr(segments.buffer()).ptr(out);
    sizes(launch, kv, scale)
        .ptr(workspace.partial()).ptr(workspace.arrived()).i32(workspace.usualRanges())
        .i32(workspace.mostRanges()).go();
  }

  /**
   * The same for the way forward of training, without a workspace.
   *
   * @param q BF16, F16 or F32; see above for the others
   * @param logSumExp F32 [rows, heads]: gets the logarithm of the sum of exp(scale · score), which {@link AttentionBackward} needs; −∞ for
   *     a row that sees nothing
   */
  public void launchForTraining(Stream stream, DeviceBuffer q, KeyValues kv, Segments segments, DeviceBuffer out, DeviceBuffer logSumExp,
      float scale) {
    checkFloat("q", q);
    checkKeyValues(kv, q.dtype(), segments.slotEnd());
    Kernel kernel = checked(q, kv, segments, out);
    check("log-sum-exp", logSumExp, DType.F32, times(segments.totalRows(), kv.heads().query()));
    launchWhole(stream, kernel, q, kv, segments, out, logSumExp, scale);
  }

  /** One block goes through all keys of its rows. */
  private static void launchWhole(Stream stream, Kernel kernel, DeviceBuffer q, KeyValues kv, Segments segments, DeviceBuffer out,
      DeviceBuffer logSumExp, float scale) {
    Heads heads = kv.heads();
    Launch launch;
    if (q.dtype() == DType.F32) {
      launch = stream.launch(kernel.simt.of(DType.F32), segments.maxRows(), heads.query(), segments.count(), THREADS, 0);
    } else {
      int shared = sharedBytes(TILE_ROWS, kv);
      int tiles = blocks(Math.multiplyExact(segments.maxRows(), heads.query() / heads.keyValue()), TILE_ROWS);
      launch = stream.launch(allowing(kernel.tiled.of(q.dtype()), shared), tiles, heads.keyValue(), segments.count(), THREADS, shared);
    }
    keysAndValues(launch.ptr(q), kv).ptr(segments.buffer()).ptr(out).ptrOrNull(logSumExp);
    sizes(launch, kv, scale).go();
  }

  /** The kernels for the operands, which are checked. */
  private Kernel checked(DeviceBuffer q, KeyValues kv, Segments segments, DeviceBuffer out) {
    Heads heads = kv.heads();
    int headDim = heads.dim();
    require(headDim == 128 || headDim == 80 || headDim == 72, "head dim, of which there are kernels for 128, 80 and 72,", headDim);
    checkFloat("q", q);
    checkCache(kv, q.dtype(), segments.slotEnd());
    long elements = times(segments.totalRows(), (long) heads.query() * headDim);
    check("q", q, q.dtype(), elements);
    check("out", out, q.dtype(), elements);
    checkAligned("q", q);
    checkAligned("keys", kv.keys());
    checkAligned("values", kv.values());
    checkAligned("out", out);
    return kv.coded() ? codes : headDim == 128 ? d128 : headDim == 80 ? d80 : d72;
  }

  /** As the kernels take them: those of codes have the scales too. */
  private static Launch keysAndValues(Launch launch, KeyValues kv) {
    return kv.coded() ? cache(launch, kv) : launch.ptr(kv.keys()).ptr(kv.values());
  }

  private static Launch sizes(Launch launch, KeyValues kv, float scale) {
    return launch.i32(kv.heads().query()).i32(kv.heads().keyValue()).i32(kv.slots()).f32(scale);
  }

  private static KernelFunction allowing(KernelFunction kernel, int sharedBytes) {
    kernel.allowDynamicShared(sharedBytes);
    return kernel;
  }

  /** Stages of keys and values, rows, all padded to 16 columns; where the list of each row begins and ends; scales of a tile of codes. */
  private static int sharedBytes(int rows, KeyValues kv) {
    int columns = blocks(kv.heads().dim(), 16) * 16;
    int tiles = 2 * STAGES * KEY_TILE * columns * kv.keys().dtype().bytes();
    return tiles + rows * (columns * Short.BYTES + 2 * Integer.BYTES) + (kv.coded() ? 2 * KEY_TILE * Float.BYTES : 0);
  }

  /** In the same memory warps that share keys meet: each lane with 4 numbers per 8 columns, and with two rows' states. */
  private static int meetingBytes(int tiles, int headDim) {
    return tiles * THREADS * (headDim / 8 + 1) * 4 * Float.BYTES;
  }
}
