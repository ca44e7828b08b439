// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.KernelFunction;
import dev.diffusionvl.runtime.Launch;
import dev.diffusionvl.runtime.Stream;

/**
 * What the launchers of skinny products share ({@code cuda/include/skinny.cuh}): the instance for a number of rows, grid and shared
 * memory. More than 64 rows are launched 64 at a time. A row's result has the same bits whatever the number of rows.
 */
abstract class SkinnyOp extends Op {
  private static final int THREADS = 256;
  private static final int RING_THREADS = THREADS + 32;
  /** Most rows of the instances that copy in bulk. */
  private static final int RING_ROWS = 8;
  private static final int F32_ROWS = 16;
  static final int COLUMNS_BYTES = 8 * (SkinnySplit.TILE + 4) * Float.BYTES;

  /** A kernel and how many of its blocks the device runs at once. */
  private record Instance(KernelFunction kernel, int blocksAtOnce) {}

  private final String name;
  /** By form, dtype and M: 8, 16, 32, 64. */
  private final Instance[][][] instances = new Instance[WeightForm.values().length][HALVES.size()][4];
  /** By form and dtype. */
  private final KernelFunction[][] rings = new KernelFunction[WeightForm.values().length][HALVES.size()];
  private final Device device;

  private final boolean paired;

  SkinnyOp(Device device, String name) {
    this(device, name, false);
  }

  /** @param paired of {@link WeightMatrix#mapped} */
  SkinnyOp(Device device, String name, boolean paired) {
    super(device, name);
    this.device = device;
    this.name = name;
    this.paired = paired;
  }

  /** The instance that copies in bulk, loaded on first use. */
  private KernelFunction ring(WeightForm form, DType dtype) {
    KernelFunction[] byType = rings[form.ordinal()];
    int at = HALVES.indexOf(dtype);
    if (byType[at] == null) {
      KernelFunction kernel = device.kernel(name + "_ring", name + "_m" + RING_ROWS + "_" + dtype.suffix() + form.suffix() + "_ring");
      kernel.allowDynamicShared(form.bulkRingBytes(RING_ROWS) + COLUMNS_BYTES);
      byType[at] = kernel;
    }
    return byType[at];
  }

  /** Whether a launch of so many rows copies in bulk. */
  private static boolean inBulk(SkinnyWorkspace workspace, DType dtype, WeightMatrix w, int rows) {
    return workspace.bulk() && dtype != DType.F32 && rows <= RING_ROWS && !(w instanceof WeightMatrix.Dense dense && dense.boxes() == null);
  }

  /** Loaded on first use. */
  private Instance instance(WeightForm form, DType dtype, int m) {
    Instance[] byRows = instances[form.ordinal()][HALVES.indexOf(dtype)];
    int at = Integer.numberOfTrailingZeros(m / 8);
    if (byRows[at] == null) {
      KernelFunction kernel = kernel(name + "_m" + m + "_" + dtype.suffix() + form.suffix());
      int shared = form.ringBytes(m) + COLUMNS_BYTES;
      kernel.allowDynamicShared(shared);
      byRows[at] = new Instance(kernel, Math.max(1, kernel.blocksAtOnce(THREADS, shared)));
    }
    return byRows[at];
  }

  /** The smallest M of 8, 16, 32, 64 that holds so many rows; 64 for more. */
  static int rowsOfInstance(int rows) {
    return Math.clamp(Integer.highestOneBit(Math.max(1, rows) * 2 - 1), 8, SkinnyWorkspace.MAX_ROWS);
  }

  /** A launch of the rows {@code first} to {@code first + count}. */
  interface Piece {
    void launch(int first, int count);
  }

  /** Calls {@code piece} for the rows, as many at a time as an instance takes. */
  static void inPieces(DType dtype, int rows, Piece piece) {
    int each = dtype == DType.F32 ? Math.max(1, rows) : SkinnyWorkspace.MAX_ROWS;
    for (int first = 0; first < rows; first += each) {
      piece.launch(first, Math.min(each, rows - first));
    }
  }

  private Launch begin(Stream stream, SkinnyWorkspace workspace, DType dtype, WeightMatrix w, SkinnySplit split, int rows) {
    WeightForm form = w.form();
    if (dtype == DType.F32) {
      return stream.launch(instance(dtype), split.tiles(), blocks(rows, F32_ROWS), 1, THREADS, 0);
    }
    int m = rowsOfInstance(rows);
    Launch launch;
    if (inBulk(workspace, dtype, w, rows)) {
      launch = stream.launch(ring(form, dtype), split.blocks(), 1, 1, RING_THREADS, form.bulkRingBytes(m) + COLUMNS_BYTES);
    } else {
      Instance instance = instance(form, dtype, m);
      int blocks = Math.min(split.blocks(), workspace.blocks() > 0 ? workspace.blocks() : instance.blocksAtOnce);
      launch = stream.launch(instance.kernel, blocks, 1, 1, THREADS, form.ringBytes(m) + COLUMNS_BYTES);
    }
    return workspace.overlap() ? launch.overlapping() : launch;
  }

  /** Checks x (under its name in messages) and w of a product and that the workspace is large enough. */
  final void checkProduct(SkinnyWorkspace workspace, String name, DeviceBuffer x, WeightMatrix w, int rows) {
    int n = w.out();
    int k = w.in();
    require(rows >= 0, "rows", rows);
    require(n > 0, "n", n);
    require(k > 0 && k % 8 == 0, "k (a multiple of 8)", k);
    checkFloat(name, x);
    check(name, x, x.dtype(), (long) rows * k);
    checkAligned(name, x);
    switch (w) {
      case WeightMatrix.Dense dense -> {
        check("w", dense.weight(), x.dtype(), (long) n * k);
        checkAligned("w", dense.weight());
        if (dense.boxes() != null && dense.boxes().paired() != paired) {
          throw refused("w", dense.weight(), "is mapped for products that use its rows " + (paired ? "one by one" : "in pairs"));
        }
      }
      case WeightMatrix.Packed packed -> {
        checkPacked(packed);
        require(x.dtype() != DType.F32, "bytes of an activation, with packed weights,", x.dtype().bytes());
      }
    }
    require(x.dtype() == DType.F32 || workspace.rows() >= rowsOfInstance(rows), "rows, more than the workspace is for,", rows);
  }

  /** A split that a caller has chosen must be one of the matrix. */
  final void checkSplit(SkinnySplit split, WeightMatrix w) {
    boolean fits = split.equals(SkinnySplit.of(w.out(), w.in(), paired))
        || split.equals(SkinnySplit.over(split.blocks(), w.out(), w.in(), paired));
    require(fits, "split, which is not of n and k, with blocks", split.blocks());
  }

  /** Checks the operands of a product with a norm fused to it and that the workspace is large enough. */
  final void checkNormed(SkinnyWorkspace workspace, Residual h, NormedLinear linear, int rows) {
    checkProduct(workspace, "h", h.rows(), linear.weight(), rows);
    DType dtype = h.rows().dtype();
    check("squares", h.squares(), DType.F32, (long) rows * RowSquares.groups(linear.in()));
    check("norm", linear.norm(), dtype, linear.in());
    checkAligned("norm", linear.norm());
    checkOptional("bias", linear.bias(), dtype, linear.out());
  }

  /** For the kernels that add none. */
  final void checkWithoutBias(NormedLinear linear) {
    if (linear.bias() != null) {
      throw refused("bias", linear.bias(), "must be null");
    }
  }

  /** Begins the launch of {@code count} rows of x from {@code first} on, and its parameters up to the weights. */
  final Launch begin(Stream stream, SkinnyWorkspace workspace, DeviceBuffer x, WeightMatrix w, SkinnySplit split, int first, int count) {
    return weights(begin(stream, workspace, x.dtype(), w, split, count).ptr(x, (long) first * w.in()), w,
        inBulk(workspace, x.dtype(), w, count));
  }

  /** The same of a product with a norm fused to it. */
  final Launch begin(Stream stream, SkinnyWorkspace workspace, Residual h, NormedLinear linear, SkinnySplit split, int first, int count) {
    DType dtype = h.rows().dtype();
    WeightMatrix w = linear.weight();
    return weights(begin(stream, workspace, dtype, w, split, count).ptr(h.rows(), (long) first * w.in())
        .ptr(h.squares(), (long) first * RowSquares.groups(w.in())).ptr(linear.norm()).f32(linear.eps()), w,
        inBulk(workspace, dtype, w, count));
  }

  private static Launch weights(Launch launch, WeightMatrix w, boolean inBulk) {
    return switch (w) {
      case WeightMatrix.Dense dense -> inBulk ? launch.map(dense.boxes().map()) : launch.ptr(dense.weight());
      case WeightMatrix.Packed packed -> packed(launch, packed);
    };
  }

  /** The parameters of a packed matrix. */
  static Launch packed(Launch launch, WeightMatrix.Packed w) {
    return launch.ptr(w.codes()).ptr(w.scales()).ptrOrNull(w.zeros()).i32(w.layout().shift());
  }
}
