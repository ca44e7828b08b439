// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ImageFiles;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.xerial.snappy.Snappy;

/** Questions as lmms-eval asks them, from files that another library wrote with the columns of the published ones. */
class TaskDataTest {
  private static final Path FILES = Path.of("src/test/resources/benchmarks");
  private static final Path IMAGE = Path.of("samples/images/yellow-square.png");
  private static final String LETTER = "Answer with the option's letter from the given choices directly";

  @TempDir private Path folder;

  private static List<Question> questions(String task, Path data, Selection selection) {
    List<Question> all = new ArrayList<>();
    new TaskData(EvalTask.of(task), data, null, selection).forEach(all::add);
    return all;
  }

  private static List<Question> questions(String task, String data) {
    List<Question> all = questions(task, FILES.resolve(data), Selection.ALL);
    byte[] wanted = ImageFiles.read(IMAGE).rgb();
    all.forEach(question -> question.pictures().forEach(picture -> assertArrayEquals(wanted, picture.read().rgb(), picture.name())));
    return all;
  }

  private static void check(Question question, String id, int pictures, String prompt, List<String> golds, String... options) {
    assertEquals(id, question.id());
    assertEquals(prompt, question.prompt());
    assertEquals(pictures, question.pictures().size());
    assertEquals(golds, question.golds());
    assertEquals(List.of(options), question.options());
  }

  @Test
  void chartQaInTwoFilesOfTheSplit() {
    List<Question> all = questions("chartqa", "chartqa");
    assertEquals(3, all.size(), "train is another split");
    check(all.get(0), "0", 1, "What color is the square?\nAnswer the question with a single word.", List.of("yellow"));
    check(all.get(1), "1", 1, "How many?\nAnswer the question with a single word.", List.of("3"));
    check(all.get(2), "2", 1, "Which one?\nAnswer the question with a single word.", List.of("the left"));
  }

  @Test
  void ai2dCountsChoices() {
    check(questions("ai2d", "ai2d").getFirst(), "0", 1, "What is at the top?\nA. leaf\nB. stem\nC. root\n" + LETTER + ".", List.of("C"),
        "leaf", "stem", "root");
  }

  @Test
  void mmStar() {
    Question question = questions("mmstar", "mmstar").getFirst();
    check(question, "7", 1, "Which option?\nOptions: A: red, B: yellow\n" + LETTER, List.of("B"));
    assertEquals("geometry", question.category());
  }

  @Test
  void mmBenchAsParquetAndAsTsv() {
    List<Question> parquet = questions("mmbench_en_dev", "mmbench");
    assertEquals(2, parquet.size(), "cn is another subset");
    check(parquet.get(0), "3", 1, "Look closely. What is this? There are several options:\nA. a circle\nB. a square\n\n" + LETTER + ".",
        List.of("B"), "a circle", "a square");
    check(parquet.get(1), "4", 1, "Which \"color\"?\nLook. There are several options:\nA. yellow\nB. red\nC. green\nD. blue\n\n" + LETTER
        + ".", List.of("A"), "yellow", "red", "green", "blue");
    List<Question> tsv = questions("mmbench_en_dev", "MMBench_DEV_EN.tsv");
    assertEquals(parquet.stream().map(Question::withoutPictures).toList(), tsv.stream().map(Question::withoutPictures).toList());
    assertEquals(1, tsv.get(1).pictures().size(), "the image of row 3");
  }

  @Test
  void realWorldQaKnowsItsChoices() {
    check(questions("realworldqa", "realworldqa").getFirst(), "0", 1, "How far?\nA. near\nB. far away\nPlease answer directly with only "
        + "the letter of the correct option and nothing else.", List.of("B"), "near", "far away");
  }

  @Test
  void mmeAsksTwiceForAnImage() {
    List<Question> all = questions("mme", "mme");
    check(all.get(0), "color/1.png", 1, "Is it yellow?\nAnswer the question using a single word or phrase.", List.of("Yes"));
    check(all.get(1), "color/1.png#2", 1, "Is it red?\nAnswer the question using a single word or phrase.", List.of("No"));
    assertEquals("color color/1.png", all.get(1).category() + " " + all.get(1).questionId());
    assertEquals(3, all.size());
  }

  @Test
  void mmmuNamesItsImages() {
    List<Question> all = questions("mmmu_val", "mmmu");
    assertEquals(2, all.size(), "dev is another split");
    check(all.get(0), "validation_Art_1", 3, "Compare <image 1> and <image 2>.\nA. a \"quote\"\nB. it's\nC. <image 3>\n\n" + LETTER + ".",
        List.of("C"), "a \"quote\"", "it's", "<image 3>");
    check(all.get(1), "validation_Math_2", 1, "What ratio has <image 1>?\n\nAnswer the question using a single word or phrase.",
        List.of("24/7", "3.429"));
  }

  @Test
  void mmmuProAsTextAndAsImage() {
    String asked = "Answer with the option letter from the given choices directly.";
    check(questions("mmmu_pro_standard", "mmmu_pro").getFirst(), "test_Art_1", 1, "See <image 2>.\nA. one\nB. two\n\n" + asked,
        List.of("B"), "one", "two");
    check(questions("mmmu_pro_vision", "mmmu_pro").getFirst(), "test_Art_1", 1, asked, List.of("B"), "one", "two");
  }

  @Test
  void muirBenchHasImagesInItsText() {
    check(questions("muirbench", "muirbench").getFirst(), "5", 2, "Which of <image> and <image> is yellow?\nA. first\nB. none\n" + LETTER
        + ".", List.of("A"), "first", "none");
  }

  @Test
  void jsonLinesNameImageFiles() throws Exception {
    Files.copy(IMAGE, folder.resolve("1.png"));
    Path data = Files.writeString(folder.resolve("data.jsonl"), """
        {"id": "one", "question": "What?", "answer": ["red", "a red one"], "image": "1.png"}

        {"question": "Which?", "answer": 3, "images": ["1.png", "1.png"]}
        """);
    List<Question> own = questions("exact", data, Selection.ALL);
    check(own.get(0), "one", 1, "What?", List.of("red", "a red one"));
    check(own.get(1), "1", 2, "Which?", List.of("3"));
    Files.writeString(data, "{\"question\": \"What?\", \"answer\": \"1\", \"options\": [\"x\", \"y\"], \"image\": \"1.png\"}\n");
    check(questions("ai2d", folder, Selection.ALL).getFirst(), "0", 1, "What?\nA. x\nB. y\n" + LETTER + ".", List.of("B"), "x", "y");
  }

  /** Any shards, also of a limited number, have each question once; shard 0 is another name of the last. */
  @Test
  void shardsTogetherAreTheWhole() throws Exception {
    StringBuilder rows = new StringBuilder();
    for (int i = 0; i < 23; i++) {
      rows.append("{\"id\": \"same\", \"question\": \"q").append(i).append("\", \"answer\": \"a\"}\n");
    }
    Path data = Files.writeString(folder.resolve("data.jsonl"), rows);
    for (int limit : new int[] {0, 1, 10, 100}) {
      List<String> whole = ids(questions("exact", data, new Selection(limit, 1, 1)));
      assertEquals(limit == 0 ? 23 : Math.min(limit, 23), new HashSet<>(whole).size(), "ids are told apart");
      for (int shards = 1; shards < 26; shards += 4) {
        Set<String> union = new HashSet<>();
        int count = 0;
        for (int shard = 1; shard <= shards; shard++) {
          List<String> part = ids(questions("exact", data, new Selection(limit, shard, shards)));
          count += part.size();
          union.addAll(part);
        }
        assertEquals(whole.size(), count);
        assertEquals(new HashSet<>(whole), union);
        assertEquals(ids(questions("exact", data, new Selection(limit, shards, shards))),
            ids(questions("exact", data, new Selection(limit, 0, shards))));
      }
    }
  }

  private static List<String> ids(List<Question> questions) {
    return questions.stream().map(Question::id).toList();
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', quoteCharacter = '\0', value = {
      "data.jsonl | ai2d | {\"question\": \"q\", \"options\": [\"x\"], \"answer\": \"1\"} | line 1: answer: expected the number",
      "data.jsonl | chartqa | {\"question\": \"q\", \"answer\": \"1\"} | line 1: image: missing",
      "data.jsonl | chartqa | {\"answer\": \"1\"} | line 1: question: missing",
      "data.jsonl | chartqa | {\"question\": [\"q\"], \"answer\": \"1\"} | line 1: question: expected a text",
      "data.jsonl | chartqa | [] | line 1: expected a JSON object", "data.jsonl | chartqa | {\"question | line 1: not valid JSON",
      "data.jsonl | mmmu_val | {\"question\":\"q\",\"question_type\":\"multiple-choice\",\"options\":\"['a', 'b\"} | options: expected",
      "data.jsonl | mmmu_val | {\"question\":\"<image 2>\",\"question_type\":\"open\",\"answer\":\"1\"} | image_2: missing",
      "data.tsv | chartqa | question | holds no", "data.csv | chartqa | question,answer | its name ends in none of",
      "data.parquet | chartqa | PAR1nothing | cannot be read as a parquet file",
      "data.parquet | chartqa | | cannot be read as a parquet file",
      "data.parquet | chartqa | <!doctype html> | is a web page"})
  void whatCannotBeAskedIsNamed(String name, String task, String content, String problem) throws Exception {
    Path data = Files.writeString(folder.resolve(name), content == null ? "" : content + "\n");
    if (problem.equals("holds no")) {
      assertEquals(List.of(), questions(task, data, Selection.ALL), "a head alone");
      return;
    }
    BadInputException e = assertThrows(BadInputException.class, () -> questions(task, data, Selection.ALL));
    assertTrue(e.getMessage().startsWith(data.toString()) && e.getMessage().contains(problem) && e.getMessage().lines().count() == 1,
        e.getMessage());
  }

  @Test
  void tsvImagesAreNamed() throws Exception {
    String head = "index\tquestion\tA\tB\tanswer\timage\n1\tq\tx\ty\tA\t";
    for (String[] bad : new String[][] {{"17", "row 1: image: neither an image in base64 nor the index of an earlier row"},
        {"§".repeat(30), "row 1: image: no base64"}}) {
      Path data = Files.writeString(folder.resolve("data.tsv"), head + bad[0] + "\n");
      BadInputException e = assertThrows(BadInputException.class, () -> questions("mmbench", data, Selection.ALL));
      assertTrue(e.getMessage().contains(bad[1]), e.getMessage());
    }
  }

  @Test
  void foldersWithoutData() throws Exception {
    BadInputException e = assertThrows(BadInputException.class, () -> questions("chartqa", folder, Selection.ALL));
    assertTrue(e.getMessage().endsWith("holds no file whose name ends in .parquet, .tsv or .jsonl"), e.getMessage());
    Files.createFile(folder.resolve("train-00000-of-00001.parquet"));
    e = assertThrows(BadInputException.class, () -> questions("chartqa", folder, Selection.ALL));
    assertTrue(e.getMessage().endsWith("holds no file of the split test"), e.getMessage());
  }

  /** A cut or spoilt file gives one line that names it, or rows; never anything else. */
  @Test
  void damagedParquetFiles() throws Exception {
    byte[] whole = Files.readAllBytes(FILES.resolve("mme/data/test-00000-of-00001.parquet"));
    Path data = folder.resolve("test.parquet");
    int refused = 0;
    for (int i = 0; i < 200; i++) {
      byte[] spoilt = i % 2 == 0 ? Arrays.copyOf(whole, whole.length * i / 200) : whole.clone();
      if (i % 2 == 1) {
        spoilt[whole.length * i / 200] ^= (byte) (1 + i);
      }
      Files.write(data, spoilt);
      try {
        questions("mme", data, Selection.ALL).forEach(question -> question.pictures().forEach(Picture::read));
      } catch (BadInputException e) {
        refused++;
        assertTrue(e.getMessage().startsWith(folder.toString()) && e.getMessage().lines().count() == 1, e.getMessage());
      }
    }
    assertTrue(refused > 100, refused + " of 200 were refused");
  }

  /** The length of a page says that it goes on behind the file, for which its reader would wait for ever. */
  @Test
  @Timeout(60)
  void aPageThatNeverEnds() throws Exception {
    byte[] spoilt = Files.readAllBytes(FILES.resolve("mme/data/test-00000-of-00001.parquet"));
    assertEquals(0x15, spoilt[550]);
    spoilt[550] = 0x2b;
    Path data = Files.write(folder.resolve("test.parquet"), spoilt);
    BadInputException e = assertThrows(BadInputException.class, () -> questions("mme", data, Selection.ALL));
    assertTrue(e.getMessage().startsWith(data + ": cannot be read as a parquet file"), e.getMessage());
  }

  /** Literals short and long, copies near, far and into themselves; and lengths that are not true, all of which are refused. */
  @Test
  void snappyIsUnpackedOrRefused() throws Exception {
    assertEquals("abcabcabcab", unpacked("0b 08 61 62 63 11 03", 11));
    assertEquals("abcdabcda", unpacked("09 0c 61 62 63 64 12 04 00", 9));
    assertEquals("aaaaa", unpacked("05 00 61 0f 01 00 00 00", 5));
    assertEquals("abc", unpacked("03 f0 02 61 62 63", 3));
    assertEquals("", unpacked("00", 0));
    for (String bad : new String[] {"", "ff ff ff ff 7f 00 61", "80 80 80 80 80 80", "0b 08 61 62 63 11 04", "0b 08 61 62 63 11 00",
        "0b 08 61 62", "04 08 61 62 63", "02 08 61 62 63", "0b 08 61 62 63 1d 03", "03 fc ff ff ff ff 61", "03 f0"}) {
      assertThrows(IOException.class, () -> unpacked(bad, 11), bad);
    }
    assertThrows(IOException.class, () -> unpacked("0b 08 61 62 63 11 03", 10), "too little room");
  }

  private static String unpacked(String packed, int room) throws IOException {
    byte[] bytes = HexFormat.ofDelimiter(" ").parseHex(packed);
    byte[] to = new byte[room];
    int length = Snappy.uncompress(ByteBuffer.wrap(bytes), ByteBuffer.wrap(to));
    return new String(to, 0, length, StandardCharsets.UTF_8);
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', quoteCharacter = '\0', value = {"[] | ", "['a'] | a", "['a', \"b's\",'c',] | a;b's;c", "[1, 2.5] | 1;2.5",
      "['it\\'s', 'tab\\t', '\\u00e9\\x41', '\\q'] | it's;tab\t;éA;\\q", "  [ 'a' , 'b' ]  | a;b", "['[x]', 'a, b'] | [x];a, b"})
  void listsAsPythonSpellsThem(String text, String items) {
    assertEquals(items == null ? List.of() : List.of(items.split(";")), PythonList.parse(text));
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', quoteCharacter = '\0', value = {"['a'", "['a", "a", "['a' 'b']", "['a'] x", "['\\u00g']"})
  void brokenLists(String text) {
    assertThrows(IllegalArgumentException.class, () -> PythonList.parse(text));
  }
}
