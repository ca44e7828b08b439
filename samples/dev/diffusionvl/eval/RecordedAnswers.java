// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.InputFiles;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Answers that were recorded earlier, as JSON lines: {@code id} (text or number), {@code answer}, {@code gold} (a text, a number or a list
 * of them), and where the task needs them {@code category}, {@code question_id} and {@code options} (texts of the choices). Where there is
 * a {@code raw_text}, as in a {@link SampleLog}, the answer is cut out of it anew.
 */
public final class RecordedAnswers {
  private static final int MAX_BYTES = 256 << 20;

  private final Path file;
  private final List<JsonNode> ids = new ArrayList<>();
  private final List<Answer> answers = new ArrayList<>();

  private RecordedAnswers(Path file) {
    this.file = file;
  }

  /** @throws BadInputException naming the file, the line and the field that is unusable */
  public static RecordedAnswers read(Path file) {
    RecordedAnswers read = new RecordedAnswers(file);
    byte[] bytes = InputFiles.read(file, MAX_BYTES);
    try {
      int number = 0;
      for (String line : StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString().lines().toList()) {
        number++;
        if (!line.isBlank()) {
          String where = file + ": line " + number;
          read.add(JsonLine.object(line, where), where);
        }
      }
    } catch (CharacterCodingException e) {
      throw BadInputException.of(file, "not UTF-8 text");
    }
    if (read.answers.isEmpty()) {
      throw BadInputException.of(file, "holds no answers");
    }
    return read;
  }

  /** Answers of a log. @param file for messages */
  static RecordedAnswers of(Path file, List<? extends JsonNode> samples) {
    RecordedAnswers read = new RecordedAnswers(file);
    for (int i = 0; i < samples.size(); i++) {
      read.add(samples.get(i), file + ": line " + (i + 1));
    }
    return read;
  }

  private void add(JsonNode node, String where) {
    JsonNode id = node.path("id");
    if (!id.isTextual() && !id.isNumber()) {
      throw new BadInputException(where + ": id: expected a text or a number");
    }
    if (!node.path("answer").isTextual()) {
      throw new BadInputException(where + ": answer: expected a text");
    }
    ids.add(id);
    JsonNode raw = node.path("raw_text");
    String said = (raw.isTextual() ? raw : node.get("answer")).asText();
    answers.add(new Answer(id.asText(), said, texts(node, "gold", where, true), text(node, "category", where),
        text(node, "question_id", where), texts(node, "options", where, false)));
  }

  private static String text(JsonNode node, String field, String where) {
    JsonNode value = node.path(field);
    if (value.isMissingNode() || value.isNull()) {
      return null;
    }
    if (!value.isTextual() && !value.isNumber()) {
      throw new BadInputException(where + ": " + field + ": expected a text");
    }
    return value.asText();
  }

  private static List<String> texts(JsonNode node, String field, String where, boolean needed) {
    JsonNode value = node.path(field);
    List<String> texts = new ArrayList<>();
    for (JsonNode one : value.isArray() ? value : List.of(value)) {
      if (one.isTextual() || one.isNumber()) {
        texts.add(one.asText());
      } else if (!one.isMissingNode() && !one.isNull()) {
        throw new BadInputException(where + ": " + field + ": expected a text or a list of texts");
      }
    }
    if (needed && texts.isEmpty()) {
      throw new BadInputException(where + ": " + field + ": missing");
    }
    return List.copyOf(texts);
  }

  /**
   * Scores all answers.
   *
   * @return {@code task}, {@code score} and the task's other figures, and {@code samples} with the id and score of each
   * @throws BadInputException if the task needs what a line does not have
   */
  public ObjectNode score(EvalTask task) {
    return score(task, answers);
  }

  /**
   * Scores answers of which some may be missing yet. Those that count only together with a missing one are scored, but are no part of the
   * figures.
   *
   * @return as {@link #score(EvalTask)}, with their number as {@code not_counted} if there are any; without figures where no answer counts
   */
  ObjectNode scorePart(EvalTask task) {
    try {
      return score(task, task.metric().complete(answers));
    } catch (BadInputException e) {
      throw BadInputException.of(file, e.getMessage());
    }
  }

  /** @param counted of the answers */
  private ObjectNode score(EvalTask task, List<Answer> counted) {
    ArrayNode samples = JsonNodeFactory.instance.arrayNode();
    try {
      for (int i = 0; i < answers.size(); i++) {
        samples.addObject().<ObjectNode>set("id", ids.get(i)).put("score", task.score(answers.get(i)));
      }
      ObjectNode result = JsonNodeFactory.instance.objectNode().put("task", task.id());
      if (!counted.isEmpty()) {
        task.metric().total(counted, counted.stream().mapToDouble(task::score).toArray()).forEach(result::put);
      }
      if (counted.size() < answers.size()) {
        result.put("not_counted", answers.size() - counted.size());
      }
      return result.set("samples", samples);
    } catch (BadInputException e) {
      throw BadInputException.of(file, e.getMessage());
    }
  }
}
