// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import java.util.stream.IntStream;

/** extract_patches of the SigLIP tower's tiles. */
public final class ExtractPatchesBenchmark extends KernelBenchmark {
  private static final int PATCH = 14;
  private static final int CHANNELS = 3;

  private final int tiles;
  private final int side = bench.pick(384, 44);
  private final int perSide = side / PATCH;
  private final Operand images;
  private final Operand patches;

  public ExtractPatchesBenchmark(Workbench bench, int tiles) {
    super(bench, "extract_patches", tiles + "x" + bench.pick(384, 44) + "x" + bench.pick(384, 44));
    this.tiles = tiles;
    images = input("images", tiles, side, side, CHANNELS);
    patches = output("patches", bench.dtype(), (long) tiles * perSide * perSide, PATCH * PATCH * CHANNELS);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().extractPatches.launch(bench.stream(), images.at(copy), patches.at(copy), tiles, side, side, CHANNELS, PATCH);
  }

  @Override
  protected double[] expected(int row) {
    float[] in = read(images);
    int tile = row / (perSide * perSide);
    int top = row / perSide % perSide * PATCH;
    int left = row % perSide * PATCH;
    return IntStream.range(0, PATCH * PATCH * CHANNELS).mapToDouble(i -> {
      int y = top + i / CHANNELS / PATCH;
      int x = left + i / CHANNELS % PATCH;
      return in[((tile * side + y) * side + x) * CHANNELS + i % CHANNELS];
    }).toArray();
  }
}
