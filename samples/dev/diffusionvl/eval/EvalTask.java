// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** The evaluation tasks. */
public enum EvalTask {
  CHARTQA("chartqa", new RelaxedAccuracy()),
  AI2D("ai2d", new OptionLetter(false)),
  MMSTAR("mmstar", new FirstLetter()),
  MMBENCH_EN_DEV("mmbench_en_dev", new InferredOption(), "mmbench", "mmbench_en"),
  REALWORLDQA("realworldqa", new WordOrNumber()),
  MME("mme", new YesNoPairs()),
  MMMU_VAL("mmmu_val", new Mmmu(4, new MmmuOpen()), "mmmu"),
  MMMU_PRO_STANDARD("mmmu_pro_standard", new Mmmu(10, null), "mmmu_pro"),
  MMMU_PRO_VISION("mmmu_pro_vision", new Mmmu(10, null)),
  MUIRBENCH("muirbench", new OptionLetter(true)),
  /** One's own questions: the whole answer, but for white space around it. */
  EXACT("exact", answer -> answer.text().strip().equals(answer.gold().strip()) ? 1 : 0);

  private final String id;
  private final Metric metric;
  private final List<String> aliases;

  EvalTask(String id, Metric metric, String... aliases) {
    this.id = id;
    this.metric = metric;
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

  /** Score of one answer: 1 right, 0 wrong. All but {@link #EXACT} cut it as the authors' evaluation does. */
  public double score(Answer answer) {
    return metric.score(this == EXACT ? answer : answer.cleaned());
  }

  /** The metric that makes the task's figures of the scores. */
  public Metric metric() {
    return metric;
  }
}
