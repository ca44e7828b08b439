// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.MatrixProduct;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;

/** The language model's matrix products on one stream, by whom the session's {@link GemmChoice} says. */
final class TextProducts implements MatrixProduct, AutoCloseable {
  private static final int WORKSPACE_ROWS = 64;

  private final Stream stream;
  private final Kernels kernels;
  private final Gemm cublas;
  private final GemmChoice choice;
  private final SkinnyWorkspace workspace; // null when it is never needed

  TextProducts(Stream stream, Kernels kernels, Gemm cublas, GemmChoice choice) {
    this.stream = stream;
    this.kernels = kernels;
    this.cublas = cublas;
    this.choice = choice;
    this.workspace = choice == GemmChoice.CUBLAS ? null : new SkinnyWorkspace(stream, WORKSPACE_ROWS);
  }

  @Override
  public void multiply(DeviceBuffer x, DeviceBuffer w, DeviceBuffer y, int m, int n, int k) {
    if (choice.usesOwn(x.dtype(), m)) {
      kernels.skinnyGemm().launch(stream, workspace, x, w, y, m, n, k);
    } else {
      cublas.multiply(x, w, y, m, n, k);
    }
  }

  @Override
  public void close() {
    if (workspace != null) {
      workspace.close();
    }
  }
}
