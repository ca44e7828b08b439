// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static dev.diffusionvl.train.TrainingFolder.record;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Rows that come from several threads: their order, going on from a position, the bound on what is ready, and closing. */
class RowStreamTest {
  private static final int RECORDS = 40;

  @TempDir
  private Path path;

  private TrainingFolder folder;
  private List<String> records;

  @BeforeEach
  void makeRecords() {
    folder = new TrainingFolder(path);
    records = new ArrayList<>();
    for (int i = 0; i < RECORDS; i++) {
      folder.writeImage(i + ".png", 40 + 7 * i, 150);
      String image = i % 4 == 0 ? null : i + ".png";
      String good = record("" + i, image, "What is it?" + " Well?".repeat(i % 5), "Number " + i + ".");
      records.add(i % 10 == 3 ? "{\"id\": \"" + i + "\"}" : good);
    }
  }

  private record Taken(String id, int[] ids, DataPosition after) {}

  private static List<Taken> take(ConversationData data, DataPosition from, RowStream.Options options, int most) {
    List<Taken> taken = new ArrayList<>();
    try (RowStream rows = data.rows(from, options, bad -> { })) {
      for (TrainingRow row = rows.next(); row != null && taken.size() < most; row = taken.size() < most ? rows.next() : null) {
        taken.add(new Taken(row.id(), row.example().ids(), rows.position()));
      }
    }
    return taken;
  }

  private static List<String> ids(List<Taken> rows) {
    return rows.stream().map(Taken::id).toList();
  }

  /** Lines and list, one thread and many, a short and a long queue: the same rows. */
  @ParameterizedTest
  @CsvSource({"1, 1", "2, 1", "1, 7", "4, 16", "3, 1000"})
  void theOrderDoesNotDependOnThreads(int threads, int ahead) {
    try (ConversationData lines = folder.open(folder.writeLines("data.jsonl", records));
        ConversationData list = folder.open(folder.writeList("data.json", records))) {
      List<Taken> expected = take(lines, DataPosition.start(9), new RowStream.Options(8, 3), Integer.MAX_VALUE);
      assertEquals(3 * 36, expected.size());
      List<Taken> actual = take(list, DataPosition.start(9), new RowStream.Options(8, 3, threads, ahead), Integer.MAX_VALUE);
      assertEquals(ids(expected), ids(actual));
      for (int i = 0; i < expected.size(); i++) {
        assertArrayEquals(expected.get(i).ids(), actual.get(i).ids());
      }
      assertNotEquals(ids(expected.subList(0, 36)), ids(expected.subList(36, 72)));
      assertNotEquals(ids(expected), ids(take(lines, DataPosition.start(10), new RowStream.Options(8, 3), Integer.MAX_VALUE)));
    }
  }

  @Test
  void aRunGoesOnWhereItStopped() {
    RowStream.Options options = new RowStream.Options(8, 2);
    try (ConversationData data = folder.open(folder.writeLines("data.jsonl", records))) {
      List<Taken> whole = take(data, DataPosition.start(9), options, Integer.MAX_VALUE);
      for (int stop = 1; stop <= whole.size(); stop += 5) {
        List<Taken> begun = take(data, DataPosition.start(9), options, stop);
        List<Taken> rest = take(data, begun.getLast().after(), options, Integer.MAX_VALUE);
        assertEquals(ids(whole), Stream.concat(begun.stream(), rest.stream()).map(Taken::id).toList());
      }
      assertEquals(List.of(), take(data, new DataPosition(9, 2, 0), options, 1));
      assertEquals(List.of(), take(data, new DataPosition(9, 1, RECORDS), options, 1));
      assertThrows(IllegalArgumentException.class, () -> take(data, new DataPosition(9, 0, RECORDS + 1), options, 1));
    }
  }

  /** What is bad is told in the order of the records, between the rows. */
  @Test
  void badRecordsAreToldInOrder() {
    try (ConversationData data = folder.open(folder.writeLines("data.jsonl", records))) {
      int[] order = data.order(8, 9, 0);
      List<String> events = new ArrayList<>();
      try (RowStream rows = data.rows(DataPosition.start(9), new RowStream.Options(8, 1, 4, 16), bad -> events.add(bad.id()))) {
        for (TrainingRow row = rows.next(); row != null; row = rows.next()) {
          events.add(row.id());
        }
        assertEquals(4, rows.skipped());
        assertEquals(new DataPosition(9, 1, 0), rows.position());
        assertNull(rows.next());
      }
      assertEquals(Arrays.stream(order).mapToObj(Integer::toString).toList(), events);
    }
  }

  @Test
  void closingGivesUpWhatIsNotTaken() {
    ConversationData data = folder.open(folder.writeLines("data.jsonl", records));
    RowStream rows = data.rows(DataPosition.start(9), new RowStream.Options(8, 1000, 2, 1000), bad -> { });
    rows.next();
    rows.close();
    rows.close();
    assertThrows(IllegalStateException.class, rows::next);
    data.close();
    data.close();
    assertThrows(IllegalStateException.class, () -> data.row(0));
    for (Thread thread : Thread.getAllStackTraces().keySet()) {
      assertTrue(!thread.getName().startsWith("training-rows-") || !thread.isAlive(), thread.getName());
    }
  }
}
