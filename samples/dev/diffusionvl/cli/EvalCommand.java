// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.eval.Asked;
import dev.diffusionvl.eval.EvalTask;
import dev.diffusionvl.eval.ExactMatch;
import dev.diffusionvl.eval.RecordedAnswers;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code dvl eval}: scores answers as a benchmark does, recorded ones or those of a model. */
@Command(name = "eval", description = "Scores answers as a benchmark does: recorded ones (--rescore), or those of a model (--model, "
    + "--data).",
    mixinStandardHelpOptions = true, showDefaultValues = true)
final class EvalCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(names = "--task", paramLabel = "TASK", required = true, description = "the benchmark: chartqa, ai2d, mmstar, mmbench_en_dev, "
      + "realworldqa, mme, mmmu_val, mmmu_pro_standard, mmmu_pro_vision, muirbench, or exact; a model is asked for exact alone")
  private String task;

  @Option(names = "--rescore", paramLabel = "FILE", description = "JSON lines with id, answer and gold")
  private Path answers;

  @Option(names = "--model", paramLabel = "DIR", description = "checkpoint folder")
  private Path model;

  @Option(names = "--data", paramLabel = "FILE", description = "conversations in the LLaVA format; the last answer of each is the right "
      + "one")
  private Path data;

  @Option(names = "--images", paramLabel = "DIR",
      description = "folder that the records' image names are relative to (default: the data's)")
  private Path images;

  @Option(names = "--limit", paramLabel = "N", defaultValue = "0", description = "questions to ask, from the first on (0: all)")
  private int limit;

  @Option(names = "--gen-length", paramLabel = "N", defaultValue = "128", description = "tokens of an answer at most")
  private int genLength;

  @Mixin private DecodingOptions decoding;

  @Option(names = "--dtype", paramLabel = "TYPE", defaultValue = "bf16", description = "bf16 or f32")
  private String dtype;

  @Option(names = "--device", paramLabel = "D", description = "auto, gpu, gpu:N or emulated (default: auto, or -Ddvl.device)")
  private String device;

  @Option(names = "--json", description = "print one JSON object with the score of each sample")
  private boolean json;

  @Override
  public Integer call() {
    EvalTask wanted = EvalTask.of(task);
    if (wanted == null) {
      throw usage("--task is '" + task + "', allowed are " + EvalTask.names());
    }
    if ((answers == null) == (model == null) || (model == null) != (data == null)) {
      throw usage("either --rescore, or --model and --data are needed");
    }
    if (answers != null) {
      print(wanted, RecordedAnswers.read(answers).score(wanted));
      return 0;
    }
    if (wanted != EvalTask.EXACT) {
      throw usage("--task " + task + ": a model is asked for exact alone; answers of the other tasks can be scored by --rescore");
    }
    if (limit < 0) {
      throw usage("--limit is " + limit + ", allowed is 0 or more");
    }
    print(wanted, ask());
    return 0;
  }

  private void print(EvalTask wanted, ObjectNode result) {
    if (json) {
      System.out.println(result);
    } else {
      int samples = result.remove("samples").size();
      result.remove("task");
      System.out.println(wanted.id() + ": " + samples + " answers");
      result.propertyStream().forEach(figure -> System.out.printf("  %-24s %s%n", figure.getKey(), figure.getValue().isInt()
          ? figure.getValue().asText() : String.format("%.4f", figure.getValue().asDouble())));
    }
  }

  private ObjectNode ask() {
    DType type = switch (dtype) {
      case "bf16" -> DType.BF16;
      case "f32" -> DType.F32;
      default -> throw usage("--dtype is '" + dtype + "', allowed are bf16 and f32");
    };
    DeviceSpec where = ModelChoice.device(device);
    GenerationOptions usual = GenerationOptions.DEFAULTS;
    try {
      usual = usual.withGenLength(genLength);
    } catch (IllegalArgumentException e) {
      throw usage("--" + e.getMessage());
    }
    decoding.check();
    try (ModelFiles files = ModelFiles.open(model)) {
      files.remarks().forEach(remark -> System.err.println("dvl: " + remark));
      GenerationOptions options = usual.withDecoding(decoding.of(files.config()));
      ExactMatch questions = ExactMatch.read(files, data, images(data, images), limit, options).checked(files, type);
      try (Device gpu = Device.open(where); DiffusionVl loaded = DiffusionVl.load(gpu, files, type, LoadBar.onTerminal())) {
        loaded.remarks().forEach(remark -> System.err.println("dvl: " + remark));
        return json(questions.ask(loaded, progress(questions.questions().size())));
      }
    }
  }

  /** Where the images of data are that a user named. */
  static Path images(Path data, Path imagesOrNull) {
    return imagesOrNull != null ? imagesOrNull : data.toAbsolutePath().getParent();
  }

  /** On a terminal one line that is redrawn. */
  private static Consumer<Asked> progress(int questions) {
    int[] asked = new int[2]; // and right
    return answer -> {
      asked[0]++;
      asked[1] += answer.score() == 1 ? 1 : 0;
      if (Terminal.AT_STDERR) {
        System.err.printf(Locale.ROOT, "\r%d of %d asked, %d right%s", asked[0], questions, asked[1], asked[0] == questions ? "\n" : "");
      }
    };
  }

  private static ObjectNode json(List<Asked> answers) {
    int right = (int) answers.stream().filter(answer -> answer.score() == 1).count();
    ObjectNode result = JsonNodeFactory.instance.objectNode();
    result.put("task", EvalTask.EXACT.id()).put("score", (double) right / answers.size()).put("right", right);
    ArrayNode samples = result.putArray("samples");
    for (Asked answer : answers) {
      samples.addObject().put("id", answer.question().id()).put("prompt", answer.question().prompt()).put("gold", answer.question().gold())
          .put("answer", answer.text()).put("score", answer.score()).put("forwards", answer.forwards())
          .put("ms", Math.rint(answer.millis() * 1000) / 1000);
    }
    return result;
  }

  private ParameterException usage(String message) {
    return new ParameterException(spec.commandLine(), message);
  }
}
