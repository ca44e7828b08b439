// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.eval.EvalTask;
import dev.diffusionvl.eval.Exam;
import dev.diffusionvl.eval.Selection;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.model.GenerationOptions;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Option;

/** Options that say which questions a model is asked. */
final class TaskOptions {
  private static final Pattern SHARD = Pattern.compile("(\\d{1,6})/(\\d{1,6})");

  @Option(names = "--data", paramLabel = "FILE|DIR", description = "the benchmark's questions as Hugging Face serves them: parquet, TSV "
      + "with base64, or JSON lines with image files, or a folder of these; for exact also conversations in the LLaVA format, whose last "
      + "answer is the right one")
  private Path data;

  @Option(names = "--images", paramLabel = "DIR",
      description = "folder that names of images are relative to (default: the data's)")
  private Path images;

  @Option(names = "--limit", paramLabel = "N", defaultValue = "0", description = "questions to ask, from the first on (0: all)")
  private long limit;

  boolean given() {
    return data != null;
  }

  /** The task of that name. @throws Dvl.UsageException if there is none */
  static EvalTask task(String name) {
    EvalTask task = EvalTask.of(name);
    if (task == null) {
      throw new Dvl.UsageException("--task is '" + name + "', allowed are " + EvalTask.names());
    }
    return task;
  }

  /** @param shardOrNull i/n; null: all */
  Exam exam(EvalTask task, ModelFiles files, String shardOrNull, GenerationOptions options) {
    return Exam.of(task, files, data, images, selection(shardOrNull), options);
  }

  /** @throws Dvl.UsageException naming the option that is out of range */
  Selection selection(String shardOrNull) {
    if (limit < 0) {
      throw new Dvl.UsageException("--limit is " + limit + ", allowed is 0 or more");
    }
    if (shardOrNull == null) {
      return new Selection(limit, 1, 1);
    }
    Matcher shard = SHARD.matcher(shardOrNull);
    if (shard.matches()) {
      int part = Integer.parseInt(shard.group(1));
      int parts = Integer.parseInt(shard.group(2));
      if (parts > 0 && part <= parts) {
        return new Selection(limit, part, parts);
      }
    }
    throw new Dvl.UsageException("--shard is '" + shardOrNull + "', allowed is i/n with i from 1 to n");
  }
}
