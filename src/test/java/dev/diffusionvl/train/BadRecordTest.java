// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static dev.diffusionvl.train.TrainingFolder.record;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.BadInputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every kind of bad record stands between two good ones: it is named and skipped, or stops the run, and the good ones are unharmed. */
public class BadRecordTest {
  private static final String TURNS = "[{\"from\": \"human\", \"value\": \"Hello!\"}, {\"from\": \"gpt\", \"value\": \"Hi!\"}]";

  @TempDir
  private Path path;

  private TrainingFolder folder;

  @BeforeEach
  void writeImages() throws IOException {
    folder = new TrainingFolder(path);
    writeImages(path);
  }

  /** The images that the records name. */
  public static void writeImages(Path path) throws IOException {
    TrainingFolder folder = new TrainingFolder(path);
    byte[] good = Files.readAllBytes(folder.writeImage("good.png", 60, 60));
    folder.writeImage("thin.png", 1, 300);
    Files.write(path.resolve("cut.png"), Arrays.copyOf(good, good.length / 2));
    good[good.length / 2] ^= 0x55;
    Files.write(path.resolve("damaged.png"), good);
    Files.write(path.resolve("empty.png"), new byte[0]);
    folder.write("text.png", "this is no picture");
    // a header that claims 65535 x 65535 pixels
    Files.write(path.resolve("huge.gif"), "GIF89a\u00ff\u00ff\u00ff\u00ff\0\0\0,\0\0\0\0\u00ff\u00ff\u00ff\u00ff\0".getBytes(
        StandardCharsets.ISO_8859_1));
    Files.createDirectory(path.resolve("folder.png"));
  }

  private static String turns(String turns) {
    return "{\"id\": \"x\", \"conversations\": [" + turns + "]}";
  }

  private static String human(String value) {
    return "{\"from\": \"human\", \"value\": \"" + value + "\"}";
  }

  private static String gpt(String value) {
    return "{\"from\": \"gpt\", \"value\": \"" + value + "\"}";
  }

  private static String image(String image, String question) {
    return "{\"id\": \"x\", \"image\": " + image + ", \"conversations\": [" + human(question) + ", " + gpt("Yes.") + "]}";
  }

  private static Arguments bad(String kind, String record, String problem) {
    return Arguments.of(kind, record, "x", problem);
  }

  /** Kind, record, its id, and what its reason says. */
  public static List<Arguments> kinds() {
    return List.of(
        // its JSON
        bad("no JSON", "{\"id\": \"x\", \"conversations\": nope}", "not valid JSON (character 29): Unrecognized token 'nope'"),
        bad("a comma too many", "{\"id\": \"x\", \"conversations\": [1,,2]}", "not valid JSON"),
        bad("an unknown escape", "{\"id\": \"x\", \"conversations\": \"\\q\"}", "not valid JSON"),
        bad("a field twice", "{\"id\": \"x\", \"image\": \"a\", \"image\": \"b\"}", "Duplicate field 'image'"),
        Arguments.of("an array", "[1, 2]", "record 2", "expected an object, found a list"),
        Arguments.of("a number", "17", "record 2", "expected an object, found a number"),
        Arguments.of("a text", "\"hello\"", "record 2", "expected an object, found a text"),
        Arguments.of("null", "null", "record 2", "expected an object, found null"),
        bad("nested too deep", "{\"id\": \"x\", \"deep\": " + "[".repeat(40) + "]".repeat(40) + "}", "not valid JSON"),
        bad("too long", "{\"id\": \"x\", \"pad\": \"" + "y".repeat(ConversationFile.MAX_RECORD_BYTES) + "\"}", "the limit is 16777216"),
        // its fields
        Arguments.of("an id that is a list", "{\"id\": [1], \"conversations\": " + TURNS + "}", "record 2",
            "id: expected a text or a number"),
        Arguments.of("an id that is true", "{\"id\": {}, \"conversations\": " + TURNS + "}", "record 2", "id: expected a text or a number"),
        bad("no conversations", "{\"id\": \"x\"}", "conversations: missing"),
        bad("conversations that are a text", "{\"id\": \"x\", \"conversations\": \"Hello!\"}",
            "conversations: expected a list, found a text"),
        bad("conversations that are null", "{\"id\": \"x\", \"conversations\": null}", "conversations: expected a list, found null"),
        bad("empty conversations", turns(""), "conversations: is empty"),
        bad("a turn that is a text", turns("\"Hello!\", \"Hi!\""), "conversations[0]: expected an object, found a text"),
        bad("a turn of nobody", turns("{\"value\": \"Hello!\"}"), "conversations[0].from: missing"),
        bad("a turn of a number", turns("{\"from\": 1, \"value\": \"Hello!\"}"), "conversations[0].from: expected a text, found a number"),
        bad("a turn of a stranger", turns(human("a") + ", {\"from\": \"bot\", \"value\": \"b\"}"),
            "conversations[1].from: 'bot' is neither"),
        bad("a turn without words", turns("{\"from\": \"human\"}"), "conversations[0].value: missing"),
        bad("words that are null", turns("{\"from\": \"human\", \"value\": null}"), "conversations[0].value: expected a text, found null"),
        bad("words that are a list", turns(human("a") + ", {\"from\": \"gpt\", \"value\": [\"b\"]}"),
            "conversations[1].value: expected a text"),
        // the order of turns
        bad("an answer first", turns(gpt("Hi!") + ", " + human("Hello!")), "conversations[0].from: is gpt; the turns must alternate"),
        bad("two questions in a row", turns(human("a") + ", " + human("b")), "conversations[1].from: is human; the turns must alternate"),
        bad("two answers in a row", turns(human("a") + ", " + gpt("b") + ", " + gpt("c")), "conversations[2].from: is gpt"),
        bad("no last answer", turns(human("a") + ", " + gpt("b") + ", " + human("c")), "the last answer is missing"),
        // its images
        bad("an image that is a number", image("7", "<image>"), "image: expected a text, found a number"),
        bad("an image that is an object", image("{\"path\": \"good.png\"}", "<image>"), "image: expected a text, found an object"),
        bad("a list with null", image("[\"good.png\", null]", "<image><image>"), "image[1]: expected a text, found null"),
        bad("an image without a name", image("\"\"", "<image>"), "image: '' names no file"),
        bad("more placeholders than images", image("\"good.png\"", "<image> <image>"), "2 placeholders <image>, but 1 images"),
        bad("fewer placeholders than images", image("[\"good.png\", \"good.png\"]", "<image>"), "1 placeholders <image>, but 2 images"),
        bad("an image without a placeholder", image("\"good.png\"", "What?"), "0 placeholders <image>, but 1 images"),
        bad("a placeholder without an image", image("null", "<image>"), "1 placeholders <image>, but 0 images"),
        bad("an absolute name", image("\"/good.png\"", "<image>"), "image: '/good.png' is absolute"),
        bad("a name that leads out", image("\"a/../../good.png\"", "<image>"), "image: 'a/../../good.png' leads out of the folder"),
        bad("a name with a zero", image("\"good\\u0000.png\"", "<image>"), "is not a file name"),
        bad("a missing image", image("\"missing.png\"", "<image>"), "missing.png: no such file"),
        bad("a folder", image("\"folder.png\"", "<image>"), "folder.png: a directory, not a file"),
        bad("an empty file", image("\"empty.png\"", "<image>"), "empty.png: format: is empty"),
        bad("a text file", image("\"text.png\"", "<image>"), "text.png: format: not an image of a known kind"),
        bad("a cut image", image("\"cut.png\"", "<image>"), "cut.png: image data:"),
        bad("a damaged image", image("\"damaged.png\"", "<image>"), "damaged.png: image data:"),
        bad("an image that claims too much", image("\"huge.gif\"", "<image>"), "huge.gif: size: 65535 x 65535 pixels"),
        bad("an image of impossible shape", image("\"thin.png\"", "<image>"), "thin.png: size: 1 x 300 pixels"),
        bad("one good and one bad image", image("[\"good.png\", \"cut.png\"]", "<image><image>"), "cut.png: image data:"),
        // nothing to learn
        bad("an empty answer", turns(human("a") + ", " + gpt("b") + ", " + human("c") + ", " + gpt(" \\n")),
            "conversations[3].value: is empty"),
        bad("an empty question", turns(human("") + ", " + gpt("b")), "conversations[0].value: is empty"),
        bad("a video", "{\"id\": \"x\", \"video\": \"a.mp4\", \"conversations\": " + TURNS + "}", "video: is not supported"),
        bad("too long a question", turns(human("word ".repeat(2000)) + ", " + gpt("b")),
            "no answer within the first 1024: nothing to learn"),
        bad("the mask token", turns(human("a") + ", " + gpt("<|mask|>")), "holds the mask token (id 1023)"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("kinds")
  void isNamedAndSkipped(String kind, String record, String id, String problem) {
    List<String> records = List.of(record("first", null, "Hello!", "Hi!"), record, record("last", "good.png", "What?", "A square."));
    for (Path file : List.of(folder.writeLines("data.jsonl", records), folder.writeList("data.json", records))) {
      List<BadRecord> skipped = new ArrayList<>();
      List<String> kept = new ArrayList<>();
      try (ConversationData data = folder.open(file);
          RowStream rows = data.rows(DataPosition.start(1), new RowStream.Options(1, 1), skipped::add)) {
        for (TrainingRow row = rows.next(); row != null; row = rows.next()) {
          kept.add(row.id());
        }
        assertEquals(1, rows.skipped());
        assertEquals(List.of("first", "last"), kept.stream().sorted().toList());
        BadRecord bad = skipped.getFirst();
        assertEquals(2, bad.number());
        assertEquals(id, bad.id());
        assertTrue(bad.reason().contains(problem), bad.reason());
        assertEquals(1, bad.line().lines().count(), bad.line());
        assertTrue(bad.line().startsWith(file + ": record 2"), bad.line());
        assertEquals(bad.line(), assertThrows(BadInputException.class, () -> data.row(1)).getMessage());
      }
    }
  }

  @Test
  void strictStopsAtTheFirst() {
    Path file = folder.writeLines("data.jsonl", List.of("{}", record("good", null, "Hello!", "Hi!"), "[]"));
    try (ConversationData data = folder.open(file);
        RowStream rows = data.rows(DataPosition.start(1), new RowStream.Options(3, 1), BadRecord.Listener.STRICT)) {
      BadInputException e = assertThrows(BadInputException.class, () -> {
        while (rows.next() != null) {
          assertEquals(0, rows.skipped());
        }
      });
      assertEquals(1, rows.skipped());
      assertTrue(e.getMessage().matches(".*data.jsonl: record [13]: (conversations: missing|expected an object.*)"), e.getMessage());
    }
  }

  /** Only lines can break off or mix up their bytes without harm to the others. */
  @Test
  void brokenLinesHarmNoOthers() throws IOException {
    String good = record("good", null, "Hello!", "Hi!");
    Path file = path.resolve("data.jsonl");
    List<String> broken = List.of("{\"id\": \"cut\", \"conversations\": [{\"from\": \"hum", "{\"id\": \"open\", \"image\": [", "}}]]",
        "{\"id\": \"bytes\", \"conversations\": \"\u00ff\u00fe\"}", "{\"id\": \"backslash\\", good + good, "\"");
    Files.write(file, (good + "\n" + String.join("\n" + good + "\n", broken) + "\r\n \n\n" + good).getBytes(StandardCharsets.ISO_8859_1));
    List<BadRecord> skipped = new ArrayList<>();
    int kept = 0;
    try (ConversationData data = folder.open(file);
        RowStream rows = data.rows(DataPosition.start(1), new RowStream.Options(1, 1), skipped::add)) {
      assertEquals(2 * broken.size() + 1, data.size());
      while (rows.next() != null) {
        kept++;
      }
    }
    assertEquals(broken.size() + 1, kept);
    assertEquals(List.of("cut", "open", "record 6", "bytes", "record 10", "good", "record 14"),
        skipped.stream().sorted(Comparator.comparing(BadRecord::number)).map(BadRecord::id).toList());
  }

  @Test
  void aListThatCannotBeTakenApartIsRefused() {
    String good = record("good", null, "Hello!", "Hi!");
    for (String[] text : new String[][] {{"[" + good, "the list does not end"}, {"[" + good + ",]", "record 2 is missing"},
        {"[" + good + good + "]", "expected ',' or ']' after record 1"}, {"[{\"a\": [}]", "a bracket of record 1 is closed by '}'"},
        {"[{\"a\": 1", "record 1 does not end"}, {"[{\"a", "a string of record 1 does not end"}, {"[,]", "record 1 is missing"},
        {"[" + good + "] x", "something follows the list"}, {"[" + "[".repeat(99), "nested more than 64 deep"},
        {"[]", "holds no records"}, {" \n", "holds no records"}, {"", "holds no records"}}) {
      Path file = folder.write("data.json", text[0]);
      BadInputException e = assertThrows(BadInputException.class, () -> folder.open(file));
      assertTrue(e.getMessage().startsWith(file + ": ") && e.getMessage().contains(text[1]), e.getMessage());
    }
    assertTrue(assertThrows(BadInputException.class, () -> folder.open(path.resolve("none.json"))).getMessage().endsWith("no such file"));
  }

  @Test
  void aFileWithoutAnyGoodRecordIsRefused() {
    Path file = folder.writeLines("data.jsonl", List.of("{}", "[]", "1"));
    List<BadRecord> skipped = new ArrayList<>();
    try (ConversationData data = folder.open(file);
        RowStream rows = data.rows(DataPosition.start(1), new RowStream.Options(2, 5), skipped::add)) {
      BadInputException e = assertThrows(BadInputException.class, rows::next);
      assertTrue(e.getMessage().contains("none of its 3 records can be used"), e.getMessage());
      assertEquals(3, skipped.size());
    }
  }

  /** The header of an answer teaches nothing without at least one row of the answer. */
  @Test
  void aHeaderAloneIsNoAnswer() {
    Path file = folder.writeLines("data.jsonl", List.of(record("x", null, "Hello!", "Hi!")));
    int whole;
    try (ConversationData data = folder.open(file)) {
      whole = data.row(0).example().length() - 8; // at least: the last block may be filled up
    }
    boolean learns = false;
    for (int length = whole; length > 0; length--) {
      try (ConversationData data = ConversationData.open(file, TrainingFolder.encoder(folder.options().withMaxLength(length)))) {
        int[] header = TrainingFolder.TOKENIZER.encode("<|im_start|>assistant\n");
        int[] prompt = TrainingFolder.TOKENIZER.encode("<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
            + "assistant.<|im_end|>\n<|im_start|>user\nHello!<|im_end|>\n");
        learns = length > prompt.length + header.length;
        if (learns) {
          assertEquals((length + 7) / 8 * 8, data.row(0).example().length());
        } else {
          BadInputException e = assertThrows(BadInputException.class, () -> data.row(0));
          assertTrue(e.getMessage().contains("no answer within the first " + length + ": nothing to learn"), e.getMessage());
        }
      }
    }
    assertTrue(!learns);
  }
}
