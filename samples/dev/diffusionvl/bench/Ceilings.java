// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.bench.Report.Column;
import dev.diffusionvl.bench.measure.Quantiles;
import dev.diffusionvl.bench.measure.Row;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.PinnedBuffer;
import java.util.List;
import java.util.function.Consumer;

/**
 * The machine's limits, measured at the start of every run: what the rest is divided by.
 *
 * @param copyBytesPerSecond device to device, bytes read plus bytes written
 * @param readBytesPerSecond read-only, by read_sum
 * @param flopsPerSecond bf16 matrix product by cuBLAS on random data
 * @param uploadBytesPerSecond pinned host memory to the device
 */
record Ceilings(double copyBytesPerSecond, double readBytesPerSecond, double flopsPerSecond, double uploadBytesPerSecond) {
  static final List<Column> COLUMNS = List.of(new Column("ceiling", "op", -16), new Column("us", "us", 10),
      new Column("GB/s", "gbps", 8), new Column("TFLOP/s", "tflops", 8));

  /** Measures all four and tells each to {@code row}. */
  static Ceilings measure(Workbench bench, Consumer<Row> row) {
    long bytes = bench.pick(2048, 1) * (1L << 20);
    int n = bench.pick(8192, 64);
    try (DeviceBuffer source = bench.device().allocate("ceiling source", DType.BF16, bytes / 2);
        DeviceBuffer target = bench.device().allocate("ceiling target", DType.BF16, bytes / 2)) {
      bench.kernels().fillNormal.launch(bench.stream(), source, 0, 1, 1);
      double copy = 2 * bytes / seconds(bench, row, "copy", 2 * bytes, 0, () -> bench.stream().copy(source, target));
      double read;
      try (DeviceBuffer partial = bench.device().allocate("partial sums", DType.F32, bench.pick(2048, 8))) {
        read = bytes / seconds(bench, row, "read_sum", bytes, 0, () -> bench.kernels().readSum.launch(bench.stream(), source, partial));
      }
      DeviceBuffer a = source.slice(0, n, n);
      DeviceBuffer b = source.slice((long) n * n, n, n);
      DeviceBuffer c = target.slice(0, n, n);
      double flops = 2.0 * n * n * n;
      double product = flops / seconds(bench, row, "gemm", 3L * n * n * 2, (long) flops, () -> bench.gemm().multiply(a, b, c, n, n, n));
      long part = bytes / bench.pick(8, 1);
      try (PinnedBuffer pinned = bench.device().allocatePinned("ceiling upload", part)) {
        DeviceBuffer uploaded = target.slice(0, part / 2);
        double upload = part / seconds(bench, row, "upload", part, 0, () -> bench.stream().uploadAsync(pinned, 0, uploaded));
        return new Ceilings(copy, read, product, upload);
      }
    }
  }

  private static double seconds(Workbench bench, Consumer<Row> row, String op, long bytes, long flops, Runnable work) {
    Quantiles micros = bench.timer().interleaved(bench.pick(5, 1), bench.pick(30, 3), work)[0];
    row.accept(new Row("ceiling").put("op", op).put("bytes", bytes).put("flop", flops).times("", micros)
        .put("gbps", bytes / micros.median() * 1e-3).put("tflops", flops / micros.median() * 1e-6));
    return micros.median() * 1e-6;
  }
}
