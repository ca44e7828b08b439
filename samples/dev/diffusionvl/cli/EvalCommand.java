// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.eval.EvalTask;
import dev.diffusionvl.eval.RecordedAnswers;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code dvl eval}: scores answers as a benchmark does. */
@Command(name = "eval", description = "Scores recorded answers as a benchmark does.", mixinStandardHelpOptions = true)
final class EvalCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(names = "--task", paramLabel = "TASK", required = true, description = "the benchmark: chartqa, ai2d, mmstar, mmbench_en_dev, "
      + "realworldqa, mme, mmmu_val, mmmu_pro_standard, mmmu_pro_vision, muirbench, or exact")
  private String task;

  @Option(names = "--rescore", paramLabel = "FILE", required = true, description = "JSON lines with id, answer and gold")
  private Path answers;

  @Option(names = "--json", description = "print one JSON object with the score of each sample")
  private boolean json;

  @Override
  public Integer call() {
    EvalTask wanted = EvalTask.of(task);
    if (wanted == null) {
      throw new ParameterException(spec.commandLine(), "--task is '" + task + "', allowed are " + EvalTask.names());
    }
    ObjectNode result = RecordedAnswers.read(answers).score(wanted);
    if (json) {
      System.out.println(result);
    } else {
      int samples = result.remove("samples").size();
      result.remove("task");
      System.out.println(wanted.id() + ": " + samples + " answers");
      result.propertyStream().forEach(figure -> System.out.printf("  %-24s %.4f%n", figure.getKey(), figure.getValue().asDouble()));
    }
    return 0;
  }
}
