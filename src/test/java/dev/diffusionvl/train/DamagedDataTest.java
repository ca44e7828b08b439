// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static dev.diffusionvl.train.TrainingFolder.record;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.Json;
import dev.diffusionvl.loader.Mutator;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Files with seeded damage. Whatever they hold, a file is refused or its bad records are named, in one line each; and the records of a list
 * are those that a parser of the whole file finds.
 */
class DamagedDataTest {
  private static final int INPUTS = Integer.getInteger("dvl.fuzz.inputs", 10_000) / 10;
  private static final Object INVALID = new Object();
  private static final long SEED = Long.getLong("dvl.fuzz.seed", 1);

  @TempDir
  private Path path;

  private TrainingFolder folder;
  private byte[] lines;
  private byte[] list;

  @BeforeEach
  void writeData() throws IOException {
    folder = new TrainingFolder(path);
    folder.writeImage("a.png", 30, 30);
    List<String> records = List.of(record("1", null, "A \\\"question\\\"?", "An answer\\n."), record("2", "a.png", "What?",
        "It's {nothing}."),
        "{\"id\": 3, \"image\": [\"a.png\"], \"more\": [1, 2.5e3, {\"image\": null}], \"conversations\": [{\"from\": \"human\", \"value\": "
            + "\"[<image>]\"}, {\"from\": \"gpt\", \"value\": \"\\u00e9\"}]}");
    lines = Files.readAllBytes(folder.writeLines("lines", records));
    list = Files.readAllBytes(folder.writeList("list", records));
  }

  @Test
  void damageIsNamed() throws IOException {
    int refused = 0;
    int bad = 0;
    int good = 0;
    for (int n = 0; n < INPUTS; n++) {
      Path file = damaged(n, n % 2 == 0 ? lines : list);
      try (ConversationData data = folder.open(file)) {
        for (int i = 0; i < data.size(); i++) {
          Outcome<TrainingRow> outcome = data.outcome(i);
          if (outcome.bad() == null) {
            good++;
          } else {
            bad++;
            assertEquals(1, outcome.bad().line().lines().count());
          }
        }
      } catch (BadInputException e) {
        refused++;
        assertTrue(e.getMessage().startsWith(file + ": "), e.getMessage());
      } catch (RuntimeException e) {
        fail("seed " + (SEED + n), e);
      }
    }
    assertTrue(refused > INPUTS / 20 && bad > INPUTS / 5 && good > INPUTS / 2, refused + " files, " + bad + " records, " + good
        + " good ones");
  }

  @Test
  void aListHasTheRecordsThatItsParserFinds() throws IOException {
    int whole = 0;
    for (int n = 0; n < INPUTS; n++) {
      Path file = damaged(n, list);
      Object parsed = parsed(Files.readAllBytes(file));
      if (parsed instanceof List<?> found && !found.isEmpty()) {
        whole++;
        try (ConversationFile records = ConversationFile.open(file)) {
          assertEquals(found.size(), records.index().size(), "seed " + (SEED + n));
          for (int i = 0; i < found.size(); i++) {
            assertEquals(found.get(i), records.read(i), "seed " + (SEED + n));
          }
        }
      } else if (parsed == INVALID && new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1).strip().startsWith("[")) {
        assertTrue(isRefused(file), "seed " + (SEED + n) + ": no valid JSON, but all of its records are");
      }
    }
    assertTrue(whole > INPUTS / 20, whole + " valid lists");
  }

  private Path damaged(int n, byte[] original) throws IOException {
    return Files.write(path.resolve("data"), new Mutator(SEED + n).mutate(original));
  }

  private static Object parsed(byte[] file) {
    try {
      return Json.tree(StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(file)).toString());
    } catch (BadInputException | CharacterCodingException e) {
      return INVALID;
    }
  }

  private static boolean isRefused(Path file) {
    try (ConversationFile records = ConversationFile.open(file)) {
      for (int i = 0; i < records.index().size(); i++) {
        records.read(i);
      }
      return false;
    } catch (BadInputException e) {
      return true;
    }
  }
}
