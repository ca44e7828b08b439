// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.OutputFile;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Locale;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Options of every benchmark, and what surrounds its run: device, report, exit code. */
final class BenchOptions {
  @Spec(Spec.Target.MIXEE) private CommandSpec command;

  @Option(names = "--device", paramLabel = "D", description = "auto, gpu, gpu:N or emulated (default: auto, or -Ddvl.device)")
  private String device;

  @Option(names = "--dtype", paramLabel = "TYPE", defaultValue = "bf16", description = "bf16, f16 or f32")
  private String dtype;

  @Option(names = "--format", paramLabel = "F", defaultValue = "table", description = "table, json (lines), csv or markdown")
  private String format;

  @Option(names = "--json", description = "the same as --format json")
  private boolean json;

  @Option(names = "--compare", paramLabel = "FILE", description = "JSON lines of an earlier run: adds the ratio of times and their noise")
  private Path compare;

  @Option(names = "--plot", paramLabel = "FILE", description = "draw the times as bars into this SVG file")
  private Path plot;

  @Option(names = "--iterations", paramLabel = "N", defaultValue = "0",
      description = "measurements per row (0: the usual number)")
  private int iterations;

  @Option(names = "--warm-up", paramLabel = "N", defaultValue = "-1", description = "runs before measuring (-1: the usual number)")
  private int warmUp;

  @Option(names = "--ring", negatable = true, description = "our own products of up to 8 rows copy weights in bulk, by tensor maps and "
      + "mbarriers, where the device can (default), or by cp.async")
  private Boolean ring; // null: as -Ddvl.ring says

  @Option(names = "--out", paramLabel = "FILE", description = "append JSON lines to this file too")
  private Path out;

  /** A benchmark; false when a check of its failed. */
  interface Body {
    boolean run(Device device, Report report);
  }

  int run(Body body) {
    PrintStream stdout = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    dtype();
    Report.Format shown = json ? Report.Format.JSON : format();
    if (iterations < 0 || warmUp < -1) {
      throw usage("--iterations is " + iterations + " and --warm-up " + warmUp + ", allowed are 0 and more and -1 and more");
    }
    EarlierRows earlier = compare == null ? null : EarlierRows.read(compare);
    if (plot != null) {
      OutputFile.requireWritable(plot);
    }
    boolean before = SkinnyWorkspace.bulkByDefault();
    System.setProperty(SkinnyWorkspace.BULK, String.valueOf(ring == null ? before : ring));
    try (Device opened = Device.open(spec())) {
      String line = "dvl " + String.join(" ", command.root().commandLine().getParseResult().originalArgs());
      Report report = new Report(new Facts(opened, line), stdout, shown, out, earlier);
      boolean ok = body.run(opened, report);
      if (plot != null) {
        report.draw(plot);
      }
      stdout.flush();
      if (!ok) {
        System.err.println("dvl: a kernel did not compute what it should (ok = false above)");
      }
      return ok ? 0 : 1;
    } finally {
      System.setProperty(SkinnyWorkspace.BULK, String.valueOf(before));
    }
  }

  private Report.Format format() {
    try {
      return Report.Format.valueOf(format.toUpperCase(Locale.ROOT));
    } catch (IllegalArgumentException e) {
      throw usage("--format is '" + format + "', allowed are table, json, csv and markdown");
    }
  }

  /** A workbench that measures as often as the user wants. */
  Workbench workbench(Device device, ModelConfig config) {
    return new Workbench(device, config, dtype(), warmUp, iterations);
  }

  /** Measurements where {@code usual} are usual. */
  int iterations(int usual) {
    return iterations > 0 ? iterations : usual;
  }

  /** Runs before them. */
  int warmUp(int usual) {
    return warmUp >= 0 ? warmUp : usual;
  }

  DType dtype() {
    try {
      return DType.ofActivations(dtype);
    } catch (IllegalArgumentException e) {
      throw usage("--" + e.getMessage());
    }
  }

  ModelShape shape(String name) {
    try {
      return ModelShape.parse(name);
    } catch (IllegalArgumentException e) {
      throw usage("--shape: " + e.getMessage());
    }
  }

  ParameterException usage(String message) {
    return new ParameterException(command.commandLine(), message);
  }

  private DeviceSpec spec() {
    try {
      return DeviceSpec.parse(device != null ? device : System.getProperty("dvl.device", "auto"));
    } catch (IllegalArgumentException e) {
      throw usage("--device: " + e.getMessage());
    }
  }
}
