// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.PackedLayout;
import dev.diffusionvl.runtime.op.WeightForm;

/** pack_weights of a tile of the matrix behind the MLP, E4M3. */
public final class PackWeightsBenchmark extends KernelBenchmark {
  private static final WeightForm FORM = WeightForm.FP8;

  private final Operand codes;
  private final Operand units;

  public PackWeightsBenchmark(Workbench bench) {
    super(bench, "pack_weights", "fp8 " + PackedLayout.TILE + "x" + columns(bench));
    codes = codes("codes", (long) PackedLayout.TILE * columns(bench));
    units = output("units", DType.U8, Math.ceilDiv(columns(bench), PackedLayout.CHUNK), FORM.unitBytes());
  }

  private static int columns(Workbench bench) {
    return bench.config().text().intermediateSize() / 8 * 8;
  }

  @Override
  public void launch(int copy) {
    bench.kernels().packWeights.launch(bench.stream(), FORM, codes.at(copy), columns(bench), units.at(copy));
  }

  @Override
  protected double[] expected(int unit) {
    float[] all = read(codes);
    int columns = columns(bench);
    int[] places = new PackedLayout(FORM, PackedLayout.TILE, columns, false, PackedLayout.ONE_GROUP).placesInUnit();
    double[] bytes = new double[FORM.unitBytes()];
    for (int i = 0; i < places.length; i++) {
      int column = unit * PackedLayout.CHUNK + i % PackedLayout.CHUNK;
      bytes[places[i] / 8] = column < columns ? all[i / PackedLayout.CHUNK * columns + column] : 0;
    }
    return bytes;
  }
}
