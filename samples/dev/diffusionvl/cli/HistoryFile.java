// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import com.fasterxml.jackson.databind.JsonNode;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ChatPrompt.Turn;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Reads {@code --history}: a JSON array of pairs [question, answer], the oldest first. */
final class HistoryFile {
  private static final int MAX_BYTES = 16 << 20;

  private HistoryFile() {}

  /** Turns of user and assistant alternately. @throws BadInputException naming the file and the pair that is none */
  static List<Turn> read(Path file) {
    JsonNode root = JsonFile.read(file, MAX_BYTES);
    if (root == null || !root.isArray()) {
      throw new BadInputException(file + ": expected an array of pairs [question, answer]");
    }
    List<Turn> turns = new ArrayList<>();
    for (int i = 0; i < root.size(); i++) {
      JsonNode pair = root.get(i);
      if (!pair.isArray() || pair.size() != 2 || !pair.get(0).isTextual() || !pair.get(1).isTextual()) {
        throw new BadInputException(file + ": [" + i + "]: expected a pair of texts, [question, answer]");
      }
      turns.add(new Turn(true, pair.get(0).textValue()));
      turns.add(new Turn(false, pair.get(1).textValue()));
    }
    return turns;
  }
}
