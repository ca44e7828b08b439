// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Row;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.PackedLayout;
import dev.diffusionvl.runtime.op.RowSquares;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;
import dev.diffusionvl.runtime.op.WeightForm;
import dev.diffusionvl.runtime.op.WeightMatrix;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;

/** What the products with few rows share. Beside each of them runs what it replaces: cuBLAS, and the elementwise kernels around it. */
abstract class ProductBenchmark extends KernelBenchmark {
  static final float EPS = 1e-6f;
  /** Columns at either end that are checked; all of them would be dear on the host. */
  private static final int CHECKED = 128;

  final int m;
  final int n;
  final int k;
  final SkinnyWorkspace workspace;

  private final WeightForm form;
  private PackedWeights packed; // null when the weights are dense
  private Operand dense;
  private boolean paired;
  private final Map<Integer, WeightMatrix> mapped = new HashMap<>(); // by copy

  ProductBenchmark(Workbench bench, String op, String name, WeightForm form, int m, int n, int k) {
    super(bench, op, "%s%s %dx%dx%d".formatted(name, form == WeightForm.DENSE ? "" : " " + form.name().toLowerCase(Locale.ROOT), m, n, k));
    this.form = form;
    this.m = m;
    this.n = n;
    this.k = k;
    this.workspace = new SkinnyWorkspace(bench.stream(), m);
  }

  /**
   * The matrix [n, k] as numbers, which cuBLAS and the check take; packed ones have their codes and scales beside it.
   *
   * @param paired of {@link PackedLayout}
   */
  final Operand weights(boolean paired) {
    this.paired = paired;
    if (form == WeightForm.DENSE) {
      dense = input("w", bench.dtype(), 0, 0.02, n, k);
    } else {
      PackedLayout layout = new PackedLayout(form, n, k, paired, form == WeightForm.INT4 ? 7 : PackedLayout.ONE_GROUP);
      packed = new PackedWeights(layout, codes("codes", layout.codeBytes()),
          input("scales", DType.F32, form == WeightForm.INT4 ? 4e-3 : 1e-4, 1e-5, layout.scales()));
      dense = scratch("w", bench.dtype(), n, k);
    }
    return dense;
  }

  /** The matrix as our product takes it. */
  final WeightMatrix matrix(int copy) {
    if (packed != null) {
      return packed.at(copy);
    }
    WeightMatrix w = new WeightMatrix.Dense(dense.at(copy), n, k);
    return workspace.bulk() ? mapped.computeIfAbsent(copy, c -> w.mapped(paired)) : w;
  }

  @Override
  protected void initialise(int copy) {
    if (packed != null) {
      bench.kernels().expandWeights.launch(bench.stream(), packed.at(copy), dense.at(copy));
    }
  }

  /** Sums of squares of h's rows, as the kernel before leaves them. */
  final Operand squares() {
    return scratch("squares", DType.F32, m, RowSquares.groups(k));
  }

  final void fillSquares(Operand h, Operand squares, int copy) {
    bench.kernels().rowSquares.launch(bench.stream(), h.at(copy), squares.at(copy), m, k);
  }

  @Override
  public long flops() {
    return 2L * m * n * k;
  }

  @Override
  public String baselineName() {
    return "cublas";
  }

  /** Row {@code row} of an operand with k columns. */
  final double[] row(Operand x, int row) {
    float[] values = read(x.at(0).slice((long) row * k, k));
    return IntStream.range(0, k).mapToDouble(i -> values[i]).toArray();
  }

  /** Row {@code row} of h behind the norm. */
  final double[] normed(Operand h, Operand norm, int row) {
    double[] x = row(h, row);
    float[] weight = read(norm);
    double inverse = 1 / Math.sqrt(Arrays.stream(x).map(v -> v * v).sum() / k + EPS);
    return IntStream.range(0, k).mapToDouble(i -> x[i] * inverse * weight[i]).toArray();
  }

  /** x · wᵀ in the columns {@code from} to {@code from + count}. */
  final double[] product(double[] x, Operand w, int from, int count) {
    float[] b = read(w.at(0).slice((long) from * k, (long) count * k));
    return IntStream.range(0, count).mapToDouble(j -> {
      double sum = 0;
      for (int i = 0; i < k; i++) {
        sum += x[i] * b[j * k + i];
      }
      return sum;
    }).toArray();
  }

  /** x · wᵀ in the checked columns. */
  final double[] product(double[] x, Operand w) {
    double[] out = new double[n];
    Arrays.fill(out, NOT_CHECKED);
    int part = Math.min(CHECKED, n);
    System.arraycopy(product(x, w, 0, part), 0, out, 0, part);
    System.arraycopy(product(x, w, n - part, part), 0, out, n - part, part);
    return out;
  }

  @Override
  public void close() {
    workspace.close();
    super.close();
  }
}
