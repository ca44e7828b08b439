// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code dvl bench}: measurements, each row with device, driver, date, commit and command. */
@Command(name = "bench", description = "Measures kernels, forward passes, generations, serving and training steps.",
    mixinStandardHelpOptions = true,
    footer = {"Columns: us and ms are medians, p10 and p90 percentiles. GB/s, TFLOP/s: bytes and operations of the work, by its time.",
        "% read, % gemm, % floor, % upload: parts of what this machine was measured to do in the same run.",
        "copies: sets of operands in turn. beside: what the next us is the time of. launched: without a graph.",
        "predicted: written down before it was measured. rel. L2: against float64. bits: two runs are equal.",
        "x earlier: the time by that of --compare. noise %: how far both may be off."},
    subcommands = {KernelsCommand.class, ForwardCommand.class, GenerationCommand.class, ServeCommand.class, TrainCommand.class,
        LoadCommand.class, PredictCommand.class})
public final class BenchCommand implements Runnable {
  @Spec private CommandSpec spec;

  /** Without a subcommand: usage. */
  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "say what to measure: " + String.join(", ", spec.subcommands().keySet()));
  }
}
