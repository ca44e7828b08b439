// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.bench.Bundled;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.model.GemmChoice;
import dev.diffusionvl.model.KvChoice;
import dev.diffusionvl.model.MemoryNeed;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.nio.file.Path;
import java.util.Locale;
import picocli.CommandLine.Option;

/** Options that say which model runs, and on what. */
final class ModelChoice {
  @Option(names = "--model", paramLabel = "DIR", description = "checkpoint folder (default: the demo model that comes with the project)")
  private Path model;

  @Option(names = "--device", paramLabel = "D", description = "auto, gpu, gpu:N or emulated (default: auto, or -Ddvl.device)")
  private String device;

  @Option(names = "--dtype", paramLabel = "TYPE", defaultValue = "bf16", description = "bf16, f16 or f32")
  private String dtype;

  @Option(names = "--gemm", paramLabel = "WHO", defaultValue = "auto",
      description = "who multiplies matrices in the language model: own, cublas, or auto (a table)")
  private String gemm;

  @Option(names = "--kv", paramLabel = "FORM", defaultValue = "auto",
      description = "how keys and values are kept: auto (numbers of --dtype) or fp8 (half the memory, other tokens where it is close)")
  private String kv;

  /** The folder that was named; null: none. */
  Path named() {
    return model;
  }

  Path directory() {
    return model != null ? model : Bundled.demoModel("--model");
  }

  DType dtype() {
    return dtype(dtype);
  }

  /** The activations' type that a command's option names. */
  static DType dtype(String given) {
    return Dvl.UsageException.checked(() -> DType.ofActivations(given));
  }

  GemmChoice gemm() {
    return Dvl.UsageException.checked(() -> GemmChoice.parse(gemm));
  }

  /** How keys and values are kept: what can be known before the model's files are read. */
  KvChoice kv() {
    return Dvl.UsageException.checked(() -> {
      KvChoice choice = KvChoice.parse(kv);
      choice.requireFor(dtype());
      return choice;
    });
  }

  /** The same for a model that is known. */
  KvChoice kv(ModelConfig config) {
    return Dvl.UsageException.checked(() -> {
      KvChoice choice = kv();
      choice.requireFor(config.text(), dtype());
      return choice;
    });
  }

  DeviceSpec device() {
    return device(device);
  }

  /** The device that a command's option names, or the usual one where it is null. */
  static DeviceSpec device(String given) {
    try {
      return DeviceSpec.parse(given != null ? given : System.getProperty("dvl.device", "auto"));
    } catch (IllegalArgumentException e) {
      throw new Dvl.UsageException("--device: " + e.getMessage());
    }
  }

  /** Says where the model will run, on stderr. */
  void announce(Device gpu, MemoryNeed need) {
    String where = gpu.emulated() ? "the emulated CUDA device" : gpu.name();
    String why = gpu.emulated() && device().kind() == DeviceSpec.Kind.AUTO ? " (no GPU found)" : "";
    System.err.printf(Locale.ROOT, "dvl: running on %s%s; %s, %.1f GB are free%n", where, why, need, gpu.memory().free() / 1e9);
  }

  /** The value that a word of the command line stands for. */
  static <T> T choice(String option, String value, String name1, T value1, String name2, T value2) {
    if (value.equals(name1)) {
      return value1;
    }
    if (value.equals(name2)) {
      return value2;
    }
    throw new Dvl.UsageException("--" + option + " is '" + value + "', allowed are " + name1 + " and " + name2);
  }
}
