// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.loader.Inspection;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code dvl inspect}: what a checkpoint folder holds, from its configuration and the headers of its weights alone. */
@Command(name = "inspect", description = "Says what a checkpoint folder holds, without reading the weights.",
    mixinStandardHelpOptions = true)
final class InspectCommand implements Callable<Integer> {
  @Parameters(paramLabel = "DIR", description = "checkpoint folder")
  private Path directory;

  @Option(names = "--json", description = "print one JSON object")
  private boolean json;

  @Override
  public Integer call() {
    Inspection found = Inspection.of(directory);
    if (json) {
      System.out.println(found.toJson());
    } else {
      System.out.printf("%s, scheme %s (%s), %s: %,d parameters, %,d bytes; on a device in bf16 %,d bytes and %,d more per token%n",
          found.family() + (found.diffusion() ? "" : " (plain base model)"), found.scheme().letter(), found.scheme(), found.dtype(),
          found.parameters(),
          found.bytes(), found.weightBytes(), found.cacheBytesPerToken());
      list("missing", found.missing());
      list("misshaped", found.misshaped());
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

  private static void list(String what, List<String> names) {
    names.forEach(name -> System.out.println(what + ": " + name));
  }
}
