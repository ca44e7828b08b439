// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** What the paper and its repository report, in percent; MME's in points. */
final class PaperFigures {
  private static final String TABLE = """
      | DiffusionVL-7B | DiffusionVL-3B | LLaDA-V-8B | LaViDa-8B | Qwen2.5-VL-7B | DiffusionVL-Qwen2.5-7B | LLaVA-Qwen2.5-7B
      mmmu_pro_standard | 36.9 | 31.2 | 35.2 | 28.6 | 36.7 | 28.4 | 28.1
      mmmu_val          | 49.3 | 47.2 | 48.6 | 43.3 | 51.1 | 43.7 | 45.4
      mmbench_en_dev    | 83.5 | 80.1 | 82.9 | 70.5 | 83.5 |      |
      chartqa           | 84.2 | 79.9 | 78.3 | 64.6 | 87.3 | 53.6 | 52.8
      ai2d              | 82.2 | 78.4 | 77.8 | 70.0 | 83.9 | 70.6 | 74.0
      realworldqa       |      |      |      |      |      | 60.7 | 60.4
      mme cognition     |      |      |      |      |      | 371  | 356
      mme perception    |      |      |      |      |      | 1457 | 1479
      """;
  private static final List<List<String>> ROWS = TABLE.lines().map(PaperFigures::cells).toList();

  private PaperFigures() {}

  private static List<String> cells(String line) {
    return Arrays.stream(line.split("\\|", -1)).map(String::strip).toList();
  }

  /** Names of the models. */
  static List<String> models() {
    return ROWS.getFirst().subList(1, ROWS.getFirst().size());
  }

  /** A figure of each model, with "–" where none is known. @param figure a task, or a part of one such as "mme cognition" */
  static List<String> of(String figure) {
    List<String> known = ROWS.stream().filter(row -> row.getFirst().equals(figure)).findFirst().orElse(List.of());
    List<String> cells = new ArrayList<>();
    for (int i = 1; i <= models().size(); i++) {
      cells.add(i < known.size() && !known.get(i).isEmpty() ? known.get(i) : "–");
    }
    return cells;
  }
}
