// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.bench.Report.Column;
import dev.diffusionvl.bench.measure.Quantiles;
import dev.diffusionvl.bench.measure.Row;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Graph;
import dev.diffusionvl.runtime.KernelFunction;
import dev.diffusionvl.runtime.Launch;
import java.util.List;
import java.util.function.Consumer;

/**
 * What a kernel costs that does next to nothing: as a node of a graph and launched one by one; with and without programmatic dependent
 * launch. One block of read_sum over 64 numbers stands for any kernel.
 */
final class LaunchCost {
  static final List<Column> COLUMNS = List.of(new Column("launch", "mode", -22), new Column("us", "us", 10), new Column("p10", "us_p10", 8),
      new Column("p90", "us_p90", 8));

  private LaunchCost() {}

  static void measure(Workbench bench, Consumer<Row> row) {
    int launches = bench.pick(256, 4);
    KernelFunction kernel = bench.device().kernel("read_sum", "read_sum_f32");
    try (DeviceBuffer x = bench.device().allocate("x", DType.F32, 64); DeviceBuffer sum = bench.device().allocate("sum", DType.F32, 1)) {
      bench.kernels().fillNormal.launch(bench.stream(), x, 0, 1, 1);
      for (boolean dependent : new boolean[] {false, true}) {
        String suffix = dependent ? ", dependent" : "";
        Runnable many = () -> {
          for (int i = 0; i < launches; i++) {
            Launch launch = bench.stream().launch(kernel, 1, 1, 1, 256, 0).ptr(x).ptr(sum).u64(x.elements());
            (dependent ? launch.overlapping() : launch).go();
          }
        };
        try (Graph graph = Graph.capture(bench.stream(), many)) {
          Quantiles[] micros = bench.timer().interleaved(bench.warmups(), bench.pick(100, 2), () -> graph.launch(bench.stream()), many);
          String[] modes = {"graph node", "launched"};
          for (int i = 0; i < modes.length; i++) {
            row.accept(new Row("launch").put("mode", modes[i] + suffix).put("launches", launches).times("",
                micros[i].times(1.0 / launches)));
          }
        } catch (UnsupportedOperationException e) {
          row.accept(new Row("launch").put("mode", "not supported here" + suffix).put("why", e.getMessage()));
        }
      }
    }
  }
}
