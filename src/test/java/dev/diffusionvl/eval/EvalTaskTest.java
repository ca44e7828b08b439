// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.BadInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Metrics against answers that were scored by a second, independent program and read through, at least 40 per task. */
class EvalTaskTest {
  private static final Path ANSWERS = Path.of("src/test/resources/eval");
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir private Path folder;

  @ParameterizedTest
  @EnumSource
  void answersAreScoredAsBySecondProgram(EvalTask task) throws IOException {
    Path file = ANSWERS.resolve(task.id() + ".jsonl");
    JsonNode samples = RecordedAnswers.read(file).score(task).get("samples");
    List<String> lines = Files.readAllLines(file);
    assertTrue(lines.size() >= 40);
    double sum = 0;
    for (int i = 0; i < lines.size(); i++) {
      JsonNode line = JSON.readTree(lines.get(i));
      assertEquals(line.get("id"), samples.get(i).get("id"));
      assertEquals(line.get("score").asDouble(), samples.get(i).get("score").asDouble(), lines.get(i));
      sum += line.get("score").asDouble();
    }
    assertTrue(sum > 10 && sum < lines.size() - 10);
    if (task != EvalTask.MME) {
      assertEquals(sum / lines.size(), RecordedAnswers.read(file).score(task).get("score").asDouble(), 1e-12);
    }
  }

  /** Points of seven categories; some have three images, so that a category's mean is not its sum. */
  @Test
  void mmeIsCountedByPairs() {
    ObjectNode result = RecordedAnswers.read(ANSWERS.resolve("mme.jsonl")).score(EvalTask.MME);
    assertEquals(700, result.get("score").asDouble(), 1e-9);
    assertEquals(100 + 100 + 150 + 100 / 3.0, result.get("perception").asDouble(), 1e-9);
    assertEquals(150 + 2 * 250 / 3.0, result.get("cognition").asDouble(), 1e-9);
    assertEquals(250 / 3.0, result.get("text_translation").asDouble(), 1e-9);
  }

  /** Two categories of three answers and one: the mean of 1/3 and 1; without a category the mean of all. */
  @Test
  void mmStarIsCountedByCategories() throws IOException {
    String lines = """
        {"id": 1, "answer": "A", "gold": "A", "category": "x"}
        {"id": 2, "answer": "B", "gold": "A", "category": "x"}
        {"id": 3, "answer": "B", "gold": "A", "category": "x"}
        {"id": 4, "answer": "A", "gold": "A", "category": "y"}
        """;
    Path file = Files.writeString(folder.resolve("answers.jsonl"), lines);
    assertEquals(2 / 3.0, RecordedAnswers.read(file).score(EvalTask.MMSTAR).get("score").asDouble(), 1e-12);
    Files.writeString(file, lines.replace(", \"category\": \"y\"", ""));
    assertEquals(0.5, RecordedAnswers.read(file).score(EvalTask.MMSTAR).get("score").asDouble(), 1e-12);
  }

  @Test
  void tasksAreFoundByNameAndAlias() {
    assertEquals(EvalTask.MMBENCH_EN_DEV, EvalTask.of("MMBench-EN-dev"));
    assertEquals(EvalTask.MMMU_VAL, EvalTask.of("mmmu"));
    assertEquals(EvalTask.CHARTQA, EvalTask.of("ChartQA"));
    assertNull(EvalTask.of("vqa"));
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', quoteCharacter = '\0', value = {
      "chartqa | {\"id\":1,\"answer\":\"2\"} | line 1: gold: missing", "chartqa | {\"id\":1,\"gold\":\"2\"} | line 1: answer: expected",
      "chartqa | {\"answer\":\"1\",\"gold\":\"2\"} | line 1: id: expected", "chartqa | [] | line 1: expected a JSON object",
      "chartqa | {\"id\":1 | line 1: not valid JSON",
      "chartqa | {\"id\":1,\"answer\":\"2\",\"answer\":\"3\",\"gold\":\"3\"} | line 1: not valid JSON", "chartqa | | holds no answers",
      "chartqa | {\"id\":1,\"answer\":\"2\",\"gold\":{}} | line 1: gold: expected",
      "mme | {\"id\":1,\"answer\":\"yes\",\"gold\":\"yes\"} | sample 1: category: missing",
      "mme | {\"id\":1,\"answer\":\"yes\",\"gold\":\"yes\",\"category\":\"OCR\"} | sample 1: question_id: missing",
      "mme | {\"id\":1,\"answer\":\"yes\",\"gold\":\"yes\",\"category\":\"OCR\",\"question_id\":3} | question_id 3 of OCR: 1 answers",
      "mme | {\"id\":1,\"answer\":\"yes\",\"gold\":\"maybe\",\"category\":\"OCR\",\"question_id\":3} | sample 1: gold: 'maybe'"})
  void whatCannotBeScoredIsNamed(String task, String line, String problem) throws IOException {
    Path file = Files.writeString(folder.resolve("answers.jsonl"), line == null ? "" : line + "\n");
    BadInputException e = assertThrows(BadInputException.class, () -> RecordedAnswers.read(file).score(EvalTask.of(task)));
    assertTrue(e.getMessage().startsWith(file.toString()) && e.getMessage().contains(problem), e.getMessage());
  }
}
