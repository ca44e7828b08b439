// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples;


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

  TraceFile(Path file) {
    this.file = file;
    Path folder = file.toAbsolutePath().getParent();
    if (folder == null || !Files.isDirectory(folder) || Files.isDirectory(file)) {
      throw new BadInputException("--trace " + file + ": cannot be written there");
    }
    delete(part()); // of a process that was killed while writing
  }

  private Path part() {
    return file.resolveSibling(file.getFileName() + ".part");
  }

  private static void delete(Path part) {
    try {
      Files.deleteIfExists(part);
    } catch (IOException e) {
      // what keeps it from being deleted will keep it from being written, and be reported then
    }
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
      delete(part());
      throw new BadInputException("--trace " + file + ": cannot be written: " + e.getMessage());
    }
  }
}
