// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Options of every benchmark, and what surrounds its run: device, report, exit code. */
final class BenchOptions {
  @Spec(Spec.Target.MIXEE) private CommandSpec command;

  @Option(names = "--device", paramLabel = "D", description = "auto, gpu, gpu:N or emulated (default: auto, or -Ddvl.device)")
  private String device;

  @Option(names = "--dtype", paramLabel = "TYPE", defaultValue = "bf16", description = "bf16 or f32")
  private String dtype;

  @Option(names = "--json", description = "JSON lines instead of a table")
  private boolean json;

  @Option(names = "--out", paramLabel = "FILE", description = "append JSON lines to this file too")
  private Path out;

  /** A benchmark; false when a check of its failed. */
  interface Body {
    boolean run(Device device, Report report);
  }

  int run(Body body) {
    PrintStream stdout = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    dtype();
    try (Device opened = Device.open(spec())) {
      String line = "dvl " + String.join(" ", command.root().commandLine().getParseResult().originalArgs());
      boolean ok = body.run(opened, new Report(new Facts(opened, line), stdout, json, out));
      stdout.flush();
      if (!ok) {
        System.err.println("dvl: a kernel did not compute what it should (ok = false above)");
      }
      return ok ? 0 : 1;
    }
  }

  DType dtype() {
    return switch (dtype) {
      case "bf16" -> DType.BF16;
      case "f32" -> DType.F32;
      default -> throw usage("--dtype is '" + dtype + "', allowed are bf16 and f32");
    };
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
