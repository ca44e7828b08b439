// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.OutputException;
import dev.diffusionvl.model.NumericalException;
import dev.diffusionvl.model.PromptLimitException;
import dev.diffusionvl.runtime.CudaException;
import dev.diffusionvl.runtime.DeviceUnavailableException;
import dev.diffusionvl.bench.BenchCommand;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.util.Properties;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The command line {@code dvl}. Exit codes: 0 ok, 2 usage, 3 bad input, 4 device problem, 1 a bug of ours. */
@Command(
    name = "dvl",
    description = "DiffusionVL on the JVM: block-diffusion vision-language inference by CUDA kernels.",
    mixinStandardHelpOptions = true,
    versionProvider = Dvl.Version.class,
    subcommands = {GenerateCommand.class, InspectCommand.class, TranslateCommand.class, BenchCommand.class})
public final class Dvl implements Runnable {
  static final int BUG = 1;
  static final int USAGE = 2;
  static final int BAD_INPUT = 3;
  static final int DEVICE = 4;

  @CommandLine.Spec private CommandLine.Model.CommandSpec spec;

  public static void main(String[] args) {
    System.exit(run(args));
  }

  /** Runs a command and returns its exit code. */
  static int run(String... args) {
    CommandLine command = new CommandLine(new Dvl());
    command.setCaseInsensitiveEnumValuesAllowed(true);
    command.setExecutionExceptionHandler((error, line, result) -> report(error, line.getErr()));
    command.setParameterExceptionHandler((error, arguments) -> {
      PrintWriter err = error.getCommandLine().getErr();
      err.println("dvl: " + oneLine(error.getMessage()));
      err.println("Try 'dvl " + subcommand(error.getCommandLine()) + "--help'.");
      return USAGE;
    });
    return command.execute(args);
  }

  private static String subcommand(CommandLine line) {
    return line.getParent() == null ? "" : line.getCommandName() + " ";
  }

  /** One clear line on stderr; a stack trace only for developers who ask with -Ddvl.debug=true. */
  private static int report(Exception error, PrintWriter err) {
    if (Boolean.getBoolean("dvl.debug")) {
      error.printStackTrace(err);
    }
    int code = switch (error) {
      case UsageException e -> USAGE;
      case BadInputException e -> BAD_INPUT;
      case PromptLimitException e -> BAD_INPUT;
      case NumericalException e -> BAD_INPUT;
      case DeviceUnavailableException e -> DEVICE;
      case CudaException e -> DEVICE;
      case OutputException e -> DEVICE;
      default -> BUG;
    };
    String text = oneLine(error.getMessage());
    err.println("dvl: " + (code == BUG ? "internal error: " + error.getClass().getSimpleName() + ": " + text : text));
    err.flush();
    return code;
  }

  private static String oneLine(String text) {
    return text == null ? "" : text.replaceAll("\\s*\\R\\s*", " ");
  }

  /** Without a command: usage. */
  @Override
  public void run() {
    throw new CommandLine.ParameterException(spec.commandLine(), "a command is missing: generate, inspect or bench");
  }

  /** The version that the build wrote down. */
  static final class Version implements CommandLine.IVersionProvider {
    @Override
    public String[] getVersion() throws IOException {
      Properties build = new Properties();
      try (InputStream in = Dvl.class.getResourceAsStream("build.properties")) {
        build.load(in);
      }
      return new String[] {"dvl " + build.getProperty("version")};
    }
  }

  /** An option has a value that cannot be. */
  static final class UsageException extends RuntimeException {
    UsageException(String message) {
      super(message);
    }
  }
}
