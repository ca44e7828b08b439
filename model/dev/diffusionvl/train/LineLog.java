// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.InputFiles;
import dev.diffusionvl.loader.OutputFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** A file of a run that grows by lines, and that a resumed run takes back to where its snapshot is. */
final class LineLog {
  private final Path file;
  private final List<String> kept;

  /**
   * @param lines of an earlier run that are kept; what follows them is dropped
   * @throws BadInputException if the file has fewer lines
   */
  LineLog(Path file, int lines) {
    this.file = file;
    kept = lines == 0 ? List.of() : first(file, lines);
    OutputFile.write(file, (String.join("\n", kept) + (kept.isEmpty() ? "" : "\n")).getBytes(StandardCharsets.UTF_8));
  }

  private static List<String> first(Path file, int lines) {
    try (var all = Files.lines(file)) {
      List<String> first = all.limit(lines).toList();
      if (first.size() < lines) {
        throw BadInputException.of(file, "has " + first.size() + " lines, at the snapshot it had " + lines);
      }
      return first;
    } catch (IOException e) {
      throw InputFiles.failure(file, e);
    } catch (UncheckedIOException e) {
      throw InputFiles.failure(file, e.getCause());
    }
  }

  /** Lines of an earlier run. */
  List<String> kept() {
    return kept;
  }

  /** @param line without its end */
  void add(String line) {
    OutputFile.append(file, line);
  }

  /** Brings all lines to the disk: a snapshot counts on them. */
  void flush() {
    OutputFile.flush(file);
  }
}
