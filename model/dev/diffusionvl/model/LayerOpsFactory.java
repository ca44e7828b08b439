// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;

/** Makes the {@link LayerOps} of the language model on one stream, by the kernels that {@link GemmChoice} names; owns their workspace. */
final class LayerOpsFactory implements AutoCloseable {
  private final GemmChoice choice;
  private final Gemm cublas;
  private final boolean overlap;
  private final SkinnyWorkspace workspace; // null when it is never needed

  /**
   * @param cublas on the same stream, the caller's
   * @param overlap of {@link SkinnyWorkspace} and {@link dev.diffusionvl.runtime.op.AttentionWorkspace}
   * @throws IllegalArgumentException when our own kernels are asked for and not made for the model's sizes
   */
  LayerOpsFactory(TextConfig config, Stream stream, Gemm cublas, GemmChoice choice, boolean overlap) {
    boolean supported = FusedLayers.support(config);
    if (choice == GemmChoice.OWN && !supported) {
      throw new IllegalArgumentException(("gemm own: our kernels are made for heads of 128 dimensions and sizes that are multiples of 8, "
          + "not for head dim %d, hidden size %d, intermediate size %d").formatted(config.headDim(), config.hiddenSize(),
          config.intermediateSize()));
    }
    this.choice = supported ? choice.on(stream.device().emulated()) : GemmChoice.CUBLAS;
    this.cublas = cublas;
    this.overlap = overlap;
    this.workspace = this.choice == GemmChoice.CUBLAS ? null : new SkinnyWorkspace(stream, SkinnyWorkspace.MAX_ROWS, overlap);
  }

  LayerOps plain(TextConfig config, TextWeights weights, Stream stream, Kernels kernels, Activations activations,
      ExpandedWeights expanded) {
    return new PlainLayers(config, weights, stream, kernels, cublas, activations, expanded);
  }

  /** Null when no pass uses it. */
  LayerOps fused(TextConfig config, TextWeights weights, Stream stream, Kernels kernels, Activations activations) {
    return workspace == null ? null : new FusedLayers(config, weights, stream, kernels, workspace, activations);
  }

  boolean overlap() {
    return overlap;
  }

  GemmChoice choice() {
    return choice;
  }

  @Override
  public void close() {
    if (workspace != null) {
      workspace.close();
    }
  }
}
