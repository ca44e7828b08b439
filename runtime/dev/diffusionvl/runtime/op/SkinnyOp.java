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
 * What the launchers of skinny products share ({@code cuda/include/skinny.cuh}): the instance for a number of rows, grid and shared
 * memory. More than 64 rows are launched 64 at a time. A row's result has the same bits whatever the number of rows.
 */
abstract class SkinnyOp extends Op {
  private static final int THREADS = 256;
  private static final int F32_ROWS = 16;
  private static final int COLUMNS_BYTES = 8 * (SkinnySplit.TILE + 4) * Float.BYTES;

  private final Instances[] byRows = new Instances[4]; // m8, m16, m32, m64

  SkinnyOp(Device device, String name) {
    super(device, name);
    for (int i = 0; i < byRows.length; i++) {
      byRows[i] = new Instances(device, name, name + "_m" + (8 << i), List.of(DType.BF16));
    }
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
  final Launch begin(Stream stream, SkinnyWorkspace workspace, DType dtype, SkinnySplit split, int rows) {
    if (dtype == DType.F32) {
      return stream.launch(instance(dtype), split.tiles(), blocks(rows, F32_ROWS), 1, THREADS, 0);
    }
    int m = rowsOfInstance(rows);
    int stages = m <= 32 ? 4 : 3;
    int shared = stages * (SkinnySplit.TILE + m) * SkinnySplit.CHUNK * Short.BYTES + COLUMNS_BYTES;
    KernelFunction kernel = byRows[Integer.numberOfTrailingZeros(m / 8)].of(dtype);
    kernel.allowDynamicShared(shared);
    Launch launch = stream.launch(kernel, split.blocks(), 1, 1, THREADS, shared);
    return workspace.overlap() ? launch.overlapping() : launch;
  }

  /** Checks x (under its name in messages) and w of a product and that the workspace is large enough. */
  final void checkProduct(SkinnyWorkspace workspace, String name, DeviceBuffer x, DeviceBuffer w, int rows, int n, int k) {
    require(rows >= 0, "rows", rows);
    require(n > 0, "n", n);
    require(k > 0 && k % 8 == 0, "k (a multiple of 8)", k);
    checkFloat(name, x);
    check(name, x, x.dtype(), (long) rows * k);
    check("w", w, x.dtype(), (long) n * k);
    checkAligned(name, x);
    checkAligned("w", w);
    require(x.dtype() == DType.F32 || workspace.rows() >= rowsOfInstance(rows), "rows, more than the workspace is for,", rows);
  }

  /** Checks the operands of a product with a norm fused to it and that the workspace is large enough; returns the groups of a row of h. */
  final int checkNormed(SkinnyWorkspace workspace, Residual h, NormedLinear linear, int rows) {
    checkProduct(workspace, "h", h.rows(), linear.weight(), rows, linear.out(), linear.in());
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
    return launch.ptr(h.rows(), (long) first * linear.in()).ptr(h.squares(), (long) first * groups)
        .ptr(linear.norm()).f32(linear.eps()).ptr(linear.weight());
  }
}
