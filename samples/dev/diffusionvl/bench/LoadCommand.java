// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.bench.Report.Column;
import dev.diffusionvl.bench.measure.Quantiles;
import dev.diffusionvl.bench.measure.Row;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.InputFiles;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.runtime.Device;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code dvl bench load}: from the files of a checkpoint to device memory, against the copy ceiling of the same run. */
@Command(name = "load", description = "Times the loading of weights; of a random checkpoint, or of one that is there.",
    mixinStandardHelpOptions = true, showDefaultValues = true)
final class LoadCommand implements Callable<Integer> {
  private static final List<Column> COLUMNS = List.of(new Column("what", "model", -12), new Column("stored", "stored", -6),
      new Column("dtype", "dtype", -5), new Column("GB", "gb", 8), new Column("ms", "ms", 9), new Column("p10", "ms_p10", 9),
      new Column("p90", "ms_p90", 9), new Column("GB/s", "gbps", 8), new Column("% upload", "pct_upload", 8));

  @Mixin private BenchOptions options;
  @Mixin private ModelOptions modelOptions;

  @Option(names = "--stored", paramLabel = "TYPE", defaultValue = "bf16", description = "type in the file: bf16, f16 or f32")
  private String stored;

  @Option(names = "--repeat", paramLabel = "N", defaultValue = "3", description = "loads, after a first one that warms the file cache")
  private int repeat;

  @Option(names = "--folder", paramLabel = "DIR", description = "where the random checkpoint is written (default: the temporary folder)")
  private Path folder;

  @Override
  public Integer call() {
    TensorType type = switch (stored) {
      case "bf16" -> TensorType.BF16;
      case "f16" -> TensorType.F16;
      case "f32" -> TensorType.F32;
      default -> throw options.usage("--stored is '" + stored + "', allowed are bf16, f16 and f32");
    };
    if (repeat < 1) {
      throw options.usage("--repeat is " + repeat + ", allowed is 1 or more");
    }
    var config = modelOptions.config(options);
    return options.run((device, report) -> {
      Ceilings ceilings;
      try (Workbench bench = options.workbench(device, config)) {
        ceilings = Ceilings.measure(bench, row -> report.row(row, Ceilings.COLUMNS));
      }
      Path checkpoint = temporaryFolder();
      try {
        SyntheticCheckpoint.write(config, type, modelOptions.tokenizerFolder(), checkpoint);
        load(device, checkpoint); // the file is in the cache from now on
        double[] millis = new double[repeat];
        long bytes = 0;
        for (int i = 0; i < repeat; i++) {
          long start = System.nanoTime();
          bytes = load(device, checkpoint);
          millis[i] = (System.nanoTime() - start) / 1e6;
        }
        Quantiles ms = Quantiles.of(millis);
        report.row(new Row("load").put("model", modelOptions.shape()).put("layers", config.text().layers())
            .put("stored", stored.toLowerCase(Locale.ROOT)).put("dtype", options.dtype().suffix()).put("gb", bytes / 1e9)
            .put("ms", ms.median()).put("ms_p10", ms.p10()).put("ms_p90", ms.p90()).put("gbps", bytes / ms.median() / 1e6)
            .put("pct_upload", 100 * bytes / (ms.median() / 1e3) / ceilings.uploadBytesPerSecond()), COLUMNS);
        return true;
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      } finally {
        delete(checkpoint);
      }
    });
  }

  /** Bytes that were read. */
  private long load(Device device, Path checkpoint) {
    long[] read = new long[1];
    DiffusionVl.load(device, checkpoint, options.dtype(), (bytes, total) -> read[0] = bytes).close();
    return read[0];
  }

  private Path temporaryFolder() {
    try {
      return folder == null ? Files.createTempDirectory("dvl-bench-") : Files.createTempDirectory(folder, "dvl-bench-");
    } catch (IOException e) {
      throw new BadInputException("--folder: cannot write there: " + InputFiles.reason(e));
    }
  }

  private static void delete(Path folder) {
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    } catch (IOException e) {
      System.err.println("dvl: left behind: " + folder);
    }
  }
}
