// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.model.GenerationListener;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;

/** Collects the steps of a generation and writes them as JSON lines once it is complete: a file is whole or not there. */
final class TraceFile {
  private final Path file;
  private final List<String> lines = new ArrayList<>();

  /** @throws BadInputException if no file can be made there, so that this is known before the work is done */
  TraceFile(Path file) {
    this.file = file;
    try {
      if (Files.isDirectory(file)) {
        throw new IOException("is a directory");
      }
      Files.write(part(), List.of());
      Files.delete(part());
    } catch (IOException e) {
      throw unwritable(e);
    }
  }

  private BadInputException unwritable(IOException e) {
    return new BadInputException("--trace " + file + ": cannot be written: " + e.getMessage());
  }

  private Path part() {
    return file.resolveSibling(file.getFileName() + ".part");
  }

  void add(int block, int step, List<GenerationListener.Commit> committed) {
    ObjectNode line = JsonNodeFactory.instance.objectNode();
    line.put("block", block);
    line.put("step", step);
    ArrayNode commits = line.putArray("committed");
    for (GenerationListener.Commit commit : committed) {
      commits.addObject().put("position", commit.position()).put("token", commit.token()).put("confidence", commit.confidence());
    }
    lines.add(line.toString());
  }

  void write() {
    try {
      Files.write(part(), lines);
      Files.move(part(), file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw unwritable(e);
    }
  }
}
