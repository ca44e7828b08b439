// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.OutputFile;
import dev.diffusionvl.model.GenerationListener;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;

/**
 * The steps of a generation as JSON lines: a file is whole or not there, a pipe or a device is written to when the generation is complete.
 */
final class TraceFile {
  private final Path path;
  private final StringBuilder lines = new StringBuilder();

  /** @throws BadInputException if no file can be made there, so that this is known before the work is done */
  TraceFile(Path path) {
    this.path = path;
    try {
      OutputFile.requireWritable(path);
    } catch (BadInputException e) {
      throw new BadInputException("--trace " + e.getMessage(), e);
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
    lines.append(line).append('\n');
  }

  void write() {
    try (OutputFile file = OutputFile.open(path)) {
      file.write(MemorySegment.ofArray(lines.toString().getBytes(StandardCharsets.UTF_8)));
      file.commit();
    }
  }
}
