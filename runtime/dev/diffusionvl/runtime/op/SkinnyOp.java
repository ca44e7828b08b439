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
  private static final int F32_ROWS = 16;
  private static final int COLUMNS_BYTES = 8 * (SkinnySplit.TILE + 4) * Float.BYTES;

  private final String name;
  /** By form, dtype and M: 8, 16, 32, 64. */
  private final KernelFunction[][][] instances = new KernelFunction[WeightForm.values().length][HALVES.size()][4];

  SkinnyOp(Device device, String name) {
    super(device, name);
    this.name = name;
  }

  /** Loaded on first use. */
  private KernelFunction instance(WeightForm form, DType dtype, int m) {
    KernelFunction[] byRows = instances[form.ordinal()][HALVES.indexOf(dtype)];
    int at = Integer.numberOfTrailingZeros(m / 8);
    if (byRows[at] == null) {
      KernelFunction kernel = kernel(name + "_m" + m + "_" + dtype.suffix() + form.suffix());
      kernel.allowDynamicShared(form.ringBytes(m) + COLUMNS_BYTES);
      byRows[at] = kernel;
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

  /** Begins the launch of {@code rows} rows; the parameters are the caller's. */
  final Launch begin(Stream stream, SkinnyWorkspace workspace, DType dtype, WeightForm form, SkinnySplit split, int rows) {
    if (dtype == DType.F32) {
      return stream.launch(instance(dtype), split.tiles(), blocks(rows, F32_ROWS), 1, THREADS, 0);
    }
    int m = rowsOfInstance(rows);
    Launch launch = stream.launch(instance(form, dtype, m), split.blocks(), 1, 1, THREADS, form.ringBytes(m) + COLUMNS_BYTES);
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
      }
      case WeightMatrix.Packed packed -> {
        checkPacked(packed);
        require(x.dtype() != DType.F32, "bytes of an activation, with packed weights,", x.dtype().bytes());
      }
    }
    require(x.dtype() == DType.F32 || workspace.rows() >= rowsOfInstance(rows), "rows, more than the workspace is for,", rows);
  }

  /** Checks the operands of a product with a norm fused to it and that the workspace is large enough; returns the groups of a row of h. */
  final int checkNormed(SkinnyWorkspace workspace, Residual h, NormedLinear linear, int rows) {
    checkProduct(workspace, "h", h.rows(), linear.weight(), rows);
    DType dtype = h.rows().dtype();
    int groups = RowSquares.groups(linear.in());
    check("squares", h.squares(), DType.F32, (long) rows * groups);
    check("norm", linear.norm(), dtype, linear.in());
    checkAligned("norm", linear.norm());
    checkOptional("bias", linear.bias(), dtype, linear.out());
    return groups;
  }

  /** For the kernels that add none. */
  final void checkWithoutBias(NormedLinear linear) {
    if (linear.bias() != null) {
      throw refused("bias", linear.bias(), "must be null");
    }
  }

  /** Begins the parameters of a product with a norm fused to it, for rows from {@code first} on. */
  static Launch normed(Launch launch, Residual h, NormedLinear linear, int groups, int first) {
    return weights(launch.ptr(h.rows(), (long) first * linear.in()).ptr(h.squares(), (long) first * groups)
        .ptr(linear.norm()).f32(linear.eps()), linear.weight());
  }

  /** The parameters of a matrix. */
  static Launch weights(Launch launch, WeightMatrix w) {
    return switch (w) {
      case WeightMatrix.Dense dense -> launch.ptr(dense.weight());
      case WeightMatrix.Packed packed -> packed(launch, packed);
    };
  }

  /** The parameters of a packed matrix. */
  static Launch packed(Launch launch, WeightMatrix.Packed w) {
    return launch.ptr(w.codes()).ptr(w.scales()).ptrOrNull(w.zeros()).i32(w.layout().shift());
  }
}
