// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.Segments;

/** All device memory that decoding works on. A session keeps it from request to request and replaces it only when one does not fit. */
final class DecodeMemory implements AutoCloseable {
  private static final int ROUND = 128; // rows of growth, so that a slightly longer prompt still fits

  /**
   * What a generation needs.
   *
   * @param positions rows of prompt and answer
   * @param passRows rows of the largest pass
   * @param blockRows rows of a decoded block
   * @param variants of the block in a pass: itself and its drafts
   * @param segments of the prompt and of the passes over a block
   * @param quotas steps a block may take
   */
  record Size(int positions, int passRows, int blockRows, int variants, int segments, int quotas) {
    static Size of(Extent extent, int quotas, int speculate) {
      int variants = 1 + speculate;
      int block = extent.blockRows();
      int carried = Math.max(1, extent.promptBlocks()) * extent.blockSize();
      int ridingRows = extent.promptBlocks() == 0 && extent.blocks() <= 1 ? 0 : carried; // full diffusion has nothing to carry
      return new Size(extent.total(), Math.max(ridingRows + block, variants * block), block, variants,
          extent.promptBlocks() + 2 + variants, quotas);
    }

    /** The least size that serves both, blocks being of one size. */
    private Size with(Size other) {
      return new Size(Math.max(positions, other.positions), Math.max(passRows, other.passRows), blockRows,
          Math.max(variants, other.variants), Math.max(segments, other.segments), Math.max(quotas, other.quotas));
    }

    private boolean serves(Size need) {
      return blockRows == need.blockRows && equals(with(need));
    }

    private Size rounded() {
      return new Size(round(positions), round(passRows), blockRows, variants, round(segments), round(quotas));
    }

    private static int round(int n) {
      return (int) Math.min(Integer.MAX_VALUE, (n + (ROUND - 1L)) / ROUND * ROUND);
    }
  }

  private final Size size;
  private final DeviceScope owned;
  private final KvCache cache;
  private final RopeTable rope;
  private final Transformer transformer;
  private final BlockState state;
  private final Segments segments;
  private final DeviceBuffer given;
  private final DeviceBuffer quotas;
  private final DeviceBuffer uniforms;
  private final PassGraphs graphs;

  private DecodeMemory(DiffusionVl model, Stream stream, LayerOpsFactory factory, Size size) {
    this.size = size;
    Device device = model.device();
    TextConfig text = model.config().text();
    DType dtype = model.dtype();
    int rows = size.blockRows();
    try (DeviceScope scope = new DeviceScope(device)) {
      int slots = size.positions() + (size.variants() - 1) * rows; // drafts live behind the sequence
      cache = scope.own(new KvCache(device, dtype, text, Math.max(1, slots)));
      rope = scope.own(RopeTable.text(device, stream, Math.max(1, size.positions()), text.headDim(), text.ropeTheta()));
      transformer = scope.own(new Transformer(dtype, text, model.text(), model.kernels(), stream, factory, Math.max(1, size.passRows()),
          rows, size.variants()));
      state = scope.own(new BlockState(device, rows, size.variants()));
      segments = scope.own(new Segments(device, size.segments()));
      given = scope.allocate("prompt rows of the block", dtype, (long) Math.max(2, size.variants()) * rows, text.hiddenSize());
      quotas = scope.allocate("quotas", DType.I32, size.quotas());
      uniforms = scope.allocate("uniforms", DType.F64, Math.max(1, rows));
      graphs = scope.own(new PassGraphs());
      owned = scope.keep();
    }
  }

  /** {@code memory} if it serves the need, else a larger one in its place. */
  static DecodeMemory serving(Size need, DecodeMemory memory, DiffusionVl model, Stream stream, LayerOpsFactory factory) {
    if (memory != null && memory.size.serves(need)) {
      return memory;
    }
    Size size = memory == null || memory.size.blockRows() != need.blockRows() ? need : need.with(memory.size);
    if (memory != null) {
      memory.close(); // before the allocation: both at once may not fit
    }
    return new DecodeMemory(model, stream, factory, size.rounded());
  }

  KvCache cache() {
    return cache;
  }

  RopeTable rope() {
    return rope;
  }

  Transformer transformer() {
    return transformer;
  }

  BlockState state() {
    return state;
  }

  Segments segments() {
    return segments;
  }

  /** [2 or variants, block rows, H]: embeddings of the block's prompt rows, once for every place where the block may stand in a pass. */
  DeviceBuffer given() {
    return given;
  }

  /** I32: how many positions each step commits. */
  DeviceBuffer quotas() {
    return quotas;
  }

  /** F64 [block rows]: numbers to draw with. */
  DeviceBuffer uniforms() {
    return uniforms;
  }

  /** Passes captured over this memory. */
  PassGraphs graphs() {
    return graphs;
  }

  @Override
  public void close() {
    owned.close();
  }
}
