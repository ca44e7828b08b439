// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import org.jline.reader.EndOfFileException;
import org.jline.reader.LineReader;
import org.jline.reader.LineReaderBuilder;
import org.jline.reader.UserInterruptException;
import org.jline.terminal.Terminal;
import org.jline.terminal.TerminalBuilder;

/** Lines that a user types: on a terminal with arrow keys and a history of this conversation, else as standard input has them. */
abstract class LineSource implements AutoCloseable {
  static LineSource open() throws IOException {
    return Boolean.getBoolean("dvl.terminal.stdin") && dev.diffusionvl.cli.Terminal.AT_STDOUT ? new Edited() : new Plain();
  }

  /** The next line; null at the end of the input, and when the user presses ^C or ^D. */
  abstract String next(String prompt) throws IOException;

  abstract boolean interactive();

  @Override
  public abstract void close() throws IOException;

  private static final class Plain extends LineSource {
    private final BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

    @Override
    String next(String prompt) throws IOException {
      return in.readLine();
    }

    @Override
    boolean interactive() {
      return false;
    }

    @Override
    public void close() {}
  }

  private static final class Edited extends LineSource {
    private final Terminal terminal = TerminalBuilder.builder().system(true).encoding(StandardCharsets.UTF_8).build();
    private final LineReader reader = LineReaderBuilder.builder().terminal(terminal).option(LineReader.Option.DISABLE_EVENT_EXPANSION, true)
        .build();

    Edited() throws IOException {}

    @Override
    String next(String prompt) {
      try {
        return reader.readLine(prompt);
      } catch (UserInterruptException | EndOfFileException e) {
        return null;
      }
    }

    @Override
    boolean interactive() {
      return true;
    }

    @Override
    public void close() throws IOException {
      terminal.close();
    }
  }
}
