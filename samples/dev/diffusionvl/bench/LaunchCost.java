// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.bench.Report.Column;
import dev.diffusionvl.bench.measure.Quantiles;
import dev.diffusionvl.bench.measure.Row;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Graph;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/**
 * What a kernel costs that does next to nothing: as a node of a graph and launched one by one; with and without programmatic dependent
 * launch. The smallest product stands for any kernel: it says when the next one may start, and waits for the one before.
 */
final class LaunchCost {
  static final List<Column> COLUMNS = List.of(new Column("launch", "mode", -22), new Column("us", "us", 10), new Column("p10", "us_p10", 8),
      new Column("p90", "us_p90", 8));

  private static final int ROWS = 8;
  private static final int N = 128;
  private static final int K = 64;

  private LaunchCost() {}

  static void measure(Workbench bench, Consumer<Row> row) {
    int launches = bench.pick(256, 4);
    try (DeviceBuffer x = bench.device().allocate("x", DType.BF16, ROWS, K);
        DeviceBuffer w = bench.device().allocate("w", DType.BF16, N, K);
        DeviceBuffer y = bench.device().allocate("y", DType.BF16, ROWS, N)) {
      bench.kernels().fillNormal.launch(bench.stream(), x, 0, 1, 1);
      bench.kernels().fillNormal.launch(bench.stream(), w, 0, 1, 2);
      for (boolean dependent : new boolean[] {false, true}) {
        String suffix = dependent ? ", dependent" : "";
        try (SkinnyWorkspace workspace = new SkinnyWorkspace(bench.stream(), ROWS, dependent)) {
          Runnable one = () -> bench.kernels().skinnyGemm.launch(bench.stream(), workspace, x, w, y, ROWS, N, K);
          one.run();
          bench.stream().synchronize();
          Runnable many = () -> IntStream.range(0, launches).forEach(i -> one.run());
          try (Graph graph = Graph.capture(bench.stream(), many)) {
            Quantiles[] micros = bench.timer().interleaved(bench.warmups(), bench.pick(100, 2), () -> graph.launch(bench.stream()), many);
            String[] modes = {"graph node", "launched"};
            for (int i = 0; i < modes.length; i++) {
              row.accept(new Row("launch").put("mode", modes[i] + suffix).put("launches", launches).times("",
                  micros[i].times(1.0 / launches)));
            }
          }
        } catch (UnsupportedOperationException e) {
          row.accept(new Row("launch").put("mode", "not supported here" + suffix).put("why", e.getMessage()));
        }
      }
    }
  }
}
