// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.loader.Inspection;
import dev.diffusionvl.loader.QuantizationConfig;
import dev.diffusionvl.loader.WeightDecoder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code dvl inspect}: what a checkpoint folder holds, from its configuration and the headers of its weights alone. */
@Command(name = "inspect", description = "Says what a checkpoint folder holds, without reading the weights.",
    mixinStandardHelpOptions = true)
final class InspectCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "DIR", description = "checkpoint folder; with --decode, a safetensors file")
  private Path directory;

  @Option(names = "--decode", paramLabel = "LAYER", description = "write this layer's weight as F32 [out, in] to --out")
  private String layer;

  @Option(names = "--quantization", paramLabel = "FILE",
      description = "with --decode: the quantization_config object (default: that of config.json beside the file)")
  private Path quantization;

  @Option(names = "--out", paramLabel = "FILE", description = "with --decode: safetensors file to write")
  private Path out;

  @Option(names = "--json", description = "print one JSON object")
  private boolean json;

  @Override
  public Integer call() {
    if ((layer == null) != (out == null) || (layer == null && quantization != null)) {
      throw new ParameterException(spec.commandLine(), "--decode and --out belong together, --quantization to them");
    }
    if (layer != null) {
      return decode();
    }
    Inspection found = Inspection.of(directory);
    if (json) {
      System.out.println(found.toJson());
    } else {
      System.out.printf("%s, scheme %s (%s), %s: %,d parameters, %,d bytes%s; on a device in bf16 %,d bytes and %,d more per token%n",
          found.family() + (found.diffusion() ? "" : " (plain base model, autoregressive)"), found.scheme().letter(),
          found.scheme(), found.dtype(),
          found.parameters(),
          found.bytes(), found.formats().isEmpty() ? "" : ", %.2f bits per weight".formatted(found.bitsPerWeight()), found.weightBytes(),
          found.cacheBytesPerToken());
      found.formats().forEach((format, count) -> System.out.printf("%,d matrices: %s%n", count, format));
      list("missing", found.missing());
      found.misshaped().forEach((name, problem) -> System.out.println("misshaped: " + name + ": " + problem));
      list("unexpected", found.unexpected());
      list("cannot be run", found.unserved());
    }
    if (!found.complete()) {
      System.err.printf("dvl: %s: incomplete: %d tensors missing, %d misshaped%n", directory, found.missing().size(),
          found.misshaped().size());
      return Dvl.BAD_INPUT;
    }
    if (!found.unserved().isEmpty()) {
      System.err.println("dvl: " + directory + ": cannot be run: " + found.unserved().getFirst());
      return Dvl.BAD_INPUT;
    }
    return 0;
  }

  private int decode() {
    Path config = directory.toAbsolutePath().resolveSibling("config.json");
    QuantizationConfig how = quantization != null ? QuantizationConfig.read(quantization)
        : Files.exists(config) ? QuantizationConfig.ofModel(config) : null;
    WeightDecoder.decode(directory, how, layer, out);
    return 0;
  }

  private static void list(String what, List<String> names) {
    names.forEach(name -> System.out.println(what + ": " + name));
  }
}
