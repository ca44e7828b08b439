// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code dvl bench}: measurements, each row with device, driver, date, commit and command. */
@Command(name = "bench", description = "Measures kernels, forward passes, generations and training steps.", mixinStandardHelpOptions = true,
    subcommands = {KernelsCommand.class, ForwardCommand.class, GenerationCommand.class, TrainCommand.class, LoadCommand.class,
        PredictCommand.class})
public final class BenchCommand implements Runnable {
  @Spec private CommandSpec spec;

  /** Without a subcommand: usage. */
  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "say what to measure: " + String.join(", ", spec.subcommands().keySet()));
  }
}
