// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** The evaluation tasks. */
public enum EvalTask {
  CHARTQA("chartqa", new ChartQa(), "test", null),
  AI2D("ai2d", new Ai2d(), "test", null),
  MMSTAR("mmstar", new MmStar(), "val", null),
  MMBENCH_EN_DEV("mmbench_en_dev", new MmBench(), "dev", "en", "mmbench", "mmbench_en"),
  REALWORLDQA("realworldqa", new RealWorldQa(), "test", null),
  MME("mme", new Mme(), "test", null),
  MMMU_VAL("mmmu_val", new MmmuVal(), "validation", null, "mmmu"),
  MMMU_PRO_STANDARD("mmmu_pro_standard", new MmmuPro(false), "test", "standard (10 options)", "mmmu_pro"),
  MMMU_PRO_VISION("mmmu_pro_vision", new MmmuPro(true), "test", "vision"),
  MUIRBENCH("muirbench", new MuirBench(), "test", null),
  EXACT("exact", new Exact(), "test", null);

  private final String id;
  private final Benchmark benchmark;
  private final String split;
  private final String subset; // null: there is one alone
  private final List<String> aliases;

  /**
   * @param split that is asked: its files' names begin so on Hugging Face
   * @param subset folder of the files on Hugging Face where a data set has several
   */
  EvalTask(String id, Benchmark benchmark, String split, String subset, String... aliases) {
    this.id = id;
    this.benchmark = benchmark;
    this.split = split;
    this.subset = subset;
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

  /** What is judged of what a model said. All but {@link #EXACT} cut it as the authors' evaluation does. */
  public String judged(Answer answer) {
    return cut(answer).text();
  }

  private Answer cut(Answer answer) {
    return this == EXACT ? answer : answer.cleaned();
  }

  /** Score of one answer: 1 right, 0 wrong. */
  public double score(Answer answer) {
    return benchmark.score(cut(answer));
  }

  /** The metric that makes the task's figures of the scores. */
  public Metric metric() {
    return benchmark;
  }

  Question question(DataRow row) {
    return benchmark.question(row);
  }

  String split() {
    return split;
  }

  /** Null where the data have one alone. */
  String subset() {
    return subset;
  }
}
