// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.OutputException;
import dev.diffusionvl.model.NumericalException;
import dev.diffusionvl.model.PromptLimitException;
import dev.diffusionvl.runtime.CudaException;
import dev.diffusionvl.runtime.DeviceUnavailableException;
import dev.diffusionvl.bench.BenchCommand;
import dev.diffusionvl.train.MemoryPlanException;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Locale;
import java.util.Properties;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The command line {@code dvl}. Exit codes: 0 ok, 2 usage, 3 bad input, 4 device problem, 1 a bug of ours. */
@Command(
    name = "dvl",
    description = "DiffusionVL on the JVM: block-diffusion vision-language inference by CUDA kernels.",
    mixinStandardHelpOptions = true,
    versionProvider = Dvl.Version.class,
    footer = "DVL_JAVA_OPTIONS holds options for the Java runtime, such as -Xmx8g or -Ddvl.device=emulated.",
    subcommands = {GenerateCommand.class, ChatCommand.class, ServeCommand.class, InspectCommand.class, TranslateCommand.class,
        QuantizeCommand.class, EvalCommand.class, CompareCommand.class, BenchCommand.class, SelfCheckCommand.class})
public final class Dvl implements Runnable {
  static final int BUG = 1;
  static final int USAGE = 2;
  static final int BAD_INPUT = 3;
  static final int DEVICE = 4;

  @CommandLine.Spec private CommandLine.Model.CommandSpec spec;

  public static void main(String[] args) {
    Locale.setDefault(Locale.ROOT); // digits and decimal points are the same everywhere
    System.setProperty("java.util.logging.SimpleFormatter.format", "dvl: %5$s%n"); // what the library warns of, in one line
    StandardOutput.install();
    System.setErr(new PrintStream(new FileOutputStream(FileDescriptor.err), true, StandardCharsets.UTF_8));
    System.exit(unreadable() ? USAGE : run(args));
  }

  /** Where the locale is plain ASCII, Java has put question marks in place of letters. The script dvl chooses another locale. */
  private static boolean unreadable() {
    boolean ascii = StandardCharsets.US_ASCII.equals(Charset.forName(System.getProperty("sun.jnu.encoding", "UTF-8")));
    try {
      boolean letters = false;
      for (byte b : ascii ? Files.readAllBytes(Path.of("/proc/self/cmdline")) : new byte[0]) {
        letters |= b < 0;
      }
      if (letters) {
        System.err.println("dvl: this locale is plain ASCII, and an argument is not: set LC_ALL=C.UTF-8");
      }
      return letters;
    } catch (IOException e) {
      return false; // not to be told
    }
  }

  /** Runs a command and returns its exit code. */
  static int run(String... args) {
    CommandLine command = new CommandLine(new Dvl());
    command.setCaseInsensitiveEnumValuesAllowed(true);
    command.setExpandAtFiles(false); // a prompt may begin with an @, and it may be a stranger's
    command.setExecutionExceptionHandler((error, line, result) -> report(error, line.getErr()));
    command.setExecutionStrategy(parsed -> {
      try {
        return new CommandLine.RunLast().execute(parsed);
      } catch (OutputException e) { // help and version
        return report(e, command.getErr());
      }
    });
    command.setParameterExceptionHandler((error, arguments) -> {
      PrintWriter err = error.getCommandLine().getErr();
      err.println("dvl: " + oneLine(error.getMessage()) + suggestion(error));
      err.println("Try '" + error.getCommandLine().getCommandSpec().qualifiedName() + " --help'.");
      return USAGE;
    });
    HelpText.install(command);
    return command.execute(args);
  }

  /** What a misspelt option or command may have been meant to be: the nearest one, if it is near. */
  private static String suggestion(CommandLine.ParameterException error) {
    if (!(error instanceof CommandLine.UnmatchedArgumentException unmatched) || unmatched.getUnmatched().isEmpty()) {
      return "";
    }
    String typed = unmatched.getUnmatched().getFirst();
    CommandLine.Model.CommandSpec command = error.getCommandLine().getCommandSpec();
    return (typed.startsWith("-") ? command.optionsMap().keySet() : command.subcommands().keySet()).stream()
        .filter(name -> distance(typed, name) <= Math.max(2, typed.length() / 3))
        .min(Comparator.comparingInt(name -> distance(typed, name)))
        .map(name -> "; did you mean " + name + "?").orElse("");
  }

  /** Letters to be changed, left out or put in. */
  private static int distance(String a, String b) {
    int[] row = IntStream.rangeClosed(0, b.length()).toArray();
    for (int i = 1; i <= a.length(); i++) {
      int corner = row[0]++;
      for (int j = 1; j <= b.length(); j++) {
        int replaced = corner + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        corner = row[j];
        row[j] = Math.min(replaced, 1 + Math.min(row[j], row[j - 1]));
      }
    }
    return row[b.length()];
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
      case MemoryPlanException e -> DEVICE;
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
    throw new CommandLine.ParameterException(spec.commandLine(), "a command is missing: " + String.join(", ", spec.subcommands().keySet()));
  }

  /** What --version prints. */
  static final class Version implements CommandLine.IVersionProvider {
    @Override
    public String[] getVersion() {
      return new String[] {"dvl " + version()};
    }
  }

  /** The version that the build wrote down. */
  static String version() {
    Properties build = new Properties();
    try (InputStream in = Dvl.class.getResourceAsStream("build.properties")) {
      build.load(in);
    } catch (IOException e) {
      throw new UncheckedIOException(e); // a part of this jar
    }
    return build.getProperty("version");
  }

  /** An option has a value that cannot be. */
  static final class UsageException extends RuntimeException {
    UsageException(String message) {
      super(message);
    }

    /** What options give, whose names begin the messages of what cannot be. */
    static <T> T checked(Supplier<T> value) {
      try {
        return value.get();
      } catch (IllegalArgumentException e) {
        throw new UsageException("--" + e.getMessage());
      }
    }
  }
}
