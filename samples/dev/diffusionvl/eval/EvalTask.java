// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** The evaluation tasks. */
public enum EvalTask {
  CHARTQA("chartqa", "\nAnswer the question with a single word.", new RelaxedAccuracy(), 79.9, 84.2),
  AI2D("ai2d", "\nAnswer with the option's letter from the given choices directly.", new OptionLetter(false), 78.4, 82.2),
  MMSTAR("mmstar", "\nAnswer with the option's letter from the given choices directly", new FirstLetter(), 0, 0),
  MMBENCH_EN_DEV("mmbench_en_dev", "\nAnswer with the option's letter from the given choices directly.", new InferredOption(), 80.1, 83.5,
      "mmbench", "mmbench_en"),
  REALWORLDQA("realworldqa", "", new WordOrNumber(), 0, 0),
  MME("mme", "\nAnswer the question using a single word or phrase.", new YesNoPairs(), 0, 0),
  MMMU_VAL("mmmu_val", "\nAnswer with the option's letter from the given choices directly.", new Mmmu(4, new MmmuOpen()), 47.2, 49.3,
      "mmmu"),
  MMMU_PRO_STANDARD("mmmu_pro_standard", "\nAnswer with the option letter from the given choices directly.", new Mmmu(10, null), 31.2, 36.9,
      "mmmu_pro"),
  MMMU_PRO_VISION("mmmu_pro_vision", "Answer with the option letter from the given choices directly.", new Mmmu(10, null), 0, 0),
  MUIRBENCH("muirbench", "\nAnswer with the option's letter from the given choices directly.", new OptionLetter(true), 0, 0),
  /** One's own questions: the whole answer, but for white space around it. */
  EXACT("exact", "", answer -> answer.text().strip().equals(answer.gold().strip()) ? 1 : 0, 0, 0);

  private final String id;
  private final String suffix;
  private final Metric metric;
  private final double paper3b;
  private final double paper7b;
  private final List<String> aliases;

  EvalTask(String id, String suffix, Metric metric, double paper3b, double paper7b, String... aliases) {
    this.id = id;
    this.suffix = suffix;
    this.metric = metric;
    this.paper3b = paper3b;
    this.paper7b = paper7b;
    this.aliases = List.of(aliases);
  }

  /** The task of that name, or null. Case does not count, and hyphens are underscores. */
  public static EvalTask of(String name) {
    String wanted = name.toLowerCase(Locale.ROOT).replace('-', '_');
    return Arrays.stream(values()).filter(task -> task.id.equals(wanted) || task.aliases.contains(wanted)).findFirst().orElse(null);
  }

  /** All names, for people. */
  public static String names() {
    return Arrays.stream(values()).map(EvalTask::id).collect(Collectors.joining(", "));
  }

  /** The name that lmms-eval has for it. */
  public String id() {
    return id;
  }

  /** What the task appends to a question. */
  public String suffix() {
    return suffix;
  }

  /** Score of one answer: 1 right, 0 wrong. All but {@link #EXACT} cut it as the authors' evaluation does. */
  public double score(Answer answer) {
    return metric.score(this == EXACT ? answer : answer.cleaned());
  }

  /** The metric that makes the task's figures of the scores. */
  public Metric metric() {
    return metric;
  }

  /** What the paper reports for DiffusionVL-3B, in percent; 0 if nothing. */
  public double paper3b() {
    return paper3b;
  }

  /** What the paper reports for DiffusionVL-7B, in percent; 0 if nothing. */
  public double paper7b() {
    return paper7b;
  }
}
