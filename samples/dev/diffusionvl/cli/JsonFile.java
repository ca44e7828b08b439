// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ForeignContent;
import dev.diffusionvl.loader.InputFiles;
import java.io.IOException;
import java.nio.file.Path;

/** Reads a JSON file that a user named. */
final class JsonFile {
  private JsonFile() {}

  /** @throws BadInputException naming the file, if it cannot be read, is too long or no JSON; null if it is empty */
  static JsonNode read(Path file, int maxBytes) {
    try {
      byte[] bytes = InputFiles.read(file, maxBytes);
      ForeignContent.refuse(file, bytes);
      return new ObjectMapper().readTree(bytes);
    } catch (JsonProcessingException e) {
      throw new BadInputException(file + ": not JSON: " + e.getOriginalMessage());
    } catch (IOException e) {
      throw new BadInputException(file + ": cannot be read: " + e.getClass().getSimpleName());
    }
  }
}
