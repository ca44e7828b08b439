// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.bench.measure.Quantiles;
import dev.diffusionvl.bench.measure.Timer;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.ForwardProbe;
import dev.diffusionvl.model.KvChoice;
import dev.diffusionvl.model.Session;
import dev.diffusionvl.runtime.Graph;
import dev.diffusionvl.runtime.op.WeightForm;
import java.util.ArrayList;
import java.util.List;

/**
 * How fast denoising forwards of a loaded model are, beside what the machine was measured to do just before.
 *
 * @param copyBytesPerSecond device to device, bytes read plus bytes written
 * @param readBytesPerSecond read-only
 * @param flopsPerSecond bf16 matrix product by cuBLAS
 * @param uploadBytesPerSecond pinned host memory to the device
 */
public record ModelSpeed(double copyBytesPerSecond, double readBytesPerSecond, double flopsPerSecond, double uploadBytesPerSecond,
    List<Forward> forwards) {
  /**
   * One forward, replayed as a graph.
   *
   * @param context rows of the cache
   * @param millis median
   * @param floorMillis that reading weights and cache takes at the measured rate
   * @param sane whether it gave probabilities that differ
   */
  public record Forward(int rows, int context, double millis, double floorMillis, boolean sane) {}

  /** Measures the machine, and then forwards of one and of eight blocks. @param context rows of the cache */
  public static ModelSpeed measure(DiffusionVl model, Session session, int context) {
    try (Workbench bench = new Workbench(model.device(), model.config(), model.dtype())) {
      Ceilings ceilings = Ceilings.measure(bench, row -> {});
      List<Forward> forwards = new ArrayList<>();
      WeightForm form = model.text().layers().getFirst().down().matrix().form();
      for (int blocks : new int[] {1, 8}) {
        int rows = blocks * model.config().blockSize();
        try (ForwardProbe probe = session.newForwardProbe(context, rows); Graph graph = ForwardCommand.captured(probe)) {
          Quantiles micros =
              new Timer(probe.stream()).interleaved(bench.pick(10, 1), bench.pick(100, 2), () -> graph.launch(probe.stream()))[0];
          long bytes = ForwardCost.of(model.config().text(), model.dtype(), form, KvChoice.AUTO, context, rows).bytes();
          forwards.add(new Forward(rows, context, micros.median() / 1e3, bytes / ceilings.readBytesPerSecond() * 1e3,
              ForwardCommand.sane(probe.confidence())));
        }
      }
      return new ModelSpeed(ceilings.copyBytesPerSecond(), ceilings.readBytesPerSecond(), ceilings.flopsPerSecond(),
          ceilings.uploadBytesPerSecond(), List.copyOf(forwards));
    }
  }
}
