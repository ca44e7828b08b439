// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.PackedLayout;
import dev.diffusionvl.runtime.op.WeightForm;
import java.util.Locale;

/** expand_weights of the matrix behind attention, a group of 128 columns per scale. */
public final class ExpandWeightsBenchmark extends KernelBenchmark {
  private static final int GROUP = 128;

  private final PackedWeights w;
  private final Operand out;

  /** @param form FP8 or INT4 */
  public ExpandWeightsBenchmark(Workbench bench, WeightForm form) {
    super(bench, "expand_weights", form.name().toLowerCase(Locale.ROOT) + " " + size(bench) + "x" + size(bench));
    PackedLayout layout = new PackedLayout(form, size(bench), size(bench), false, Integer.numberOfTrailingZeros(GROUP));
    w = new PackedWeights(layout, codes("codes", layout.codeBytes()), input("scales", DType.F32, 0.01, 0.001, layout.scales()));
    out = output("out", bench.dtype().isHalf() ? bench.dtype() : DType.BF16, layout.out(), layout.in());
  }

  private static int size(Workbench bench) {
    return bench.config().text().hiddenSize();
  }

  @Override
  public void launch(int copy) {
    bench.kernels().expandWeights.launch(bench.stream(), w.at(copy), out.at(copy));
  }

  @Override
  protected double[] expected(int row) {
    PackedLayout layout = w.layout();
    float[] codes = read(w.codes());
    float[] scales = read(w.scales());
    int[] places = layout.placesInUnit();
    double[] values = new double[layout.in()];
    for (int column = 0; column < values.length; column++) {
      int bit = places[row % PackedLayout.TILE * PackedLayout.CHUNK + column % PackedLayout.CHUNK];
      long at = row / PackedLayout.TILE * layout.tileBytes() + column / PackedLayout.CHUNK * layout.form().unitBytes() + bit / 8;
      int code = (int) codes[(int) at];
      double number = layout.form() == WeightForm.INT4 ? (code >> bit % 8 & 15) - 8 : Operand.e4m3(code);
      values[column] = number * scales[(int) layout.scaleAt(row, column >> layout.shift())];
    }
    return values;
  }
}
