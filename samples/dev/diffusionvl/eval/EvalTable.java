// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** A result as a table in Markdown, beside the paper's figures. */
public final class EvalTable {
  private EvalTable() {}

  /** @param result of {@link EvalRun#result} or {@link RecordedAnswers#score} @param title in words */
  public static String of(EvalTask task, ObjectNode result, String title) {
    StringBuilder text = new StringBuilder("# ").append(task.id()).append("\n\n").append(title).append("\n\n");
    List<String> head = new ArrayList<>(List.of("figure", "this run"));
    head.addAll(PaperFigures.models());
    line(text, head);
    text.append("|").append("---|".repeat(head.size())).append("\n");
    int answers = result.path("samples").size();
    for (Map.Entry<String, JsonNode> figure : result.properties()) {
      if (figure.getValue().isDouble()) {
        List<String> cells = new ArrayList<>(List.of(task == EvalTask.MME ? figure.getKey() : figure.getKey() + ", %", number(task,
            figure.getValue().asDouble())));
        cells.addAll(PaperFigures.of(figure.getKey().equals("score") ? task.id() : task.id() + " " + figure.getKey()));
        line(text, cells);
      }
    }
    return text.append(String.format(Locale.ROOT, "%nThis run: %,d answers. The paper's figures are those of the whole benchmark; –: not "
        + "reported.%n", answers)).toString();
  }

  private static String number(EvalTask task, double value) {
    return String.format(Locale.ROOT, "%.1f", task == EvalTask.MME ? value : 100 * value);
  }

  private static void line(StringBuilder text, List<String> cells) {
    text.append("| ").append(String.join(" | ", cells)).append(" |\n");
  }
}
