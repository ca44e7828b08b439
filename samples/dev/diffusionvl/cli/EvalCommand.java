// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.eval.EvalRun;
import dev.diffusionvl.eval.EvalTable;
import dev.diffusionvl.eval.EvalTask;
import dev.diffusionvl.eval.Exam;
import dev.diffusionvl.eval.RecordedAnswers;
import dev.diffusionvl.eval.SampleLog;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.OutputFile;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.EngineOptions;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.MemoryNeed;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code dvl eval}: scores answers as a benchmark does, recorded ones or those of a model. */
@Command(name = "eval", description = "Scores answers as a benchmark does: recorded ones (--rescore), or those of a model (MODEL, --data).",
    mixinStandardHelpOptions = true, showDefaultValues = true)
final class EvalCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "MODEL", arity = "0..1", description = "checkpoint folder; --model DIR says the same")
  private Path folder;

  @Mixin private ModelChoice model;

  @Option(names = "--task", paramLabel = "TASK", required = true, description = "the benchmark: chartqa, ai2d, mmstar, mmbench_en_dev, "
      + "realworldqa, mme, mmmu_val, mmmu_pro_standard, mmmu_pro_vision, muirbench, or exact for one's own questions")
  private String task;

  @Option(names = "--rescore", paramLabel = "FILE", description = "JSON lines with id, answer and gold")
  private Path answers;

  @Mixin private TaskOptions questions;

  @Option(names = "--shard", paramLabel = "i/n", description = "every n-th question, from the i-th on; i is 1 to n")
  private String shard;

  @Option(names = "--slots", paramLabel = "N", defaultValue = "1", description = "questions that are answered at the same time, 1 to 64")
  private int slots;

  @Option(names = "--gen-length", paramLabel = "N", defaultValue = "128", description = "tokens of an answer at most")
  private int genLength;

  @Mixin private DecodingOptions decoding;

  @Option(names = "--out", paramLabel = "DIR", description = "folder for the answers (samples.jsonl) and the result (result.json, "
      + "result.md); a run that was interrupted goes on with what it finds there")
  private Path out;

  @Option(names = "--json", description = "print one JSON object with the score of each sample")
  private boolean json;

  @Override
  public Integer call() {
    EvalTask wanted = TaskOptions.task(task);
    Path named = folder != null ? folder : model.named();
    if ((answers == null) == (named == null) || (named == null) == questions.given()) {
      throw usage("either --rescore, or --model and --data are needed; MODEL alone is --model MODEL");
    }
    if (folder != null && model.named() != null) {
      throw usage("the model is named twice, by MODEL and by --model");
    }
    if (answers != null) {
      print(wanted, RecordedAnswers.read(answers).score(wanted));
      return 0;
    }
    ask(wanted, named);
    return 0;
  }

  private void ask(EvalTask wanted, Path named) {
    DType type = model.dtype();
    DeviceSpec where = model.device();
    GenerationOptions usual;
    try {
      usual = GenerationOptions.DEFAULTS.withGenLength(genLength);
      EvalRun.options(slots, 1);
    } catch (IllegalArgumentException e) {
      throw usage("--" + e.getMessage());
    }
    decoding.check();
    model.gemm();
    model.kv();
    questions.selection(shard);
    try (ModelFiles files = ModelFiles.open(named)) {
      files.remarks().forEach(remark -> System.err.println("dvl: " + remark));
      Exam exam = questions.exam(wanted, files, shard, usual.withDecoding(decoding.of(files.config())));
      ObjectNode settings = settings(exam, files, type);
      boolean begun = out != null && SampleLog.exists(out);
      Exam.Need need = begun ? null : exam.check(files, type, question -> {});
      try (SampleLog log = out == null ? SampleLog.inMemory() : SampleLog.open(out, settings)) {
        Exam left = exam.without(log);
        need = begun ? left.check(files, type, question -> {}) : need;
        if (need.questions() > 0) {
          ask(left, need, files, type, where, log);
        }
        ObjectNode result = EvalRun.result(wanted, log);
        if (out != null) {
          write(wanted, result, settings);
        }
        ArrayNode samples = result.putArray("samples");
        log.samples().forEach(samples::add);
        print(wanted, result);
      }
    }
  }

  private void ask(Exam exam, Exam.Need need, ModelFiles files, DType type, DeviceSpec where, SampleLog log) {
    EngineOptions options = EvalRun.options(slots, need.rows()).withGemm(model.gemm())
        .withKv(model.kv(files.config()));
    MemoryNeed memory = MemoryNeed.of(files, type, options.kv(), options.kvTokens());
    EvalProgress progress = new EvalProgress(System.err, log.samples(), need.questions());
    try (Device gpu = Device.open(where)) {
      model.announce(gpu, memory);
      memory.requireFree(gpu);
      try (DiffusionVl loaded = DiffusionVl.load(gpu, files, type, LoadBar.onTerminal())) {
        loaded.remarks().forEach(remark -> System.err.println("dvl: " + remark));
        new EvalRun(exam, options).ask(loaded, log, progress);
      }
    }
  }

  /** What tells the answers of a run from those of another. */
  private ObjectNode settings(Exam exam, ModelFiles files, DType type) {
    return JsonNodeFactory.instance.objectNode().put("task", exam.task().id()).put("model", files.directories().getFirst().toString())
        .put("data", exam.data().toString()).put("shard", shard == null ? "1/1" : shard)
        .put("decoding", exam.options().decoding().toString()).put("gen_length", genLength).put("dtype", type.name())
        .put("kv", model.kv().name());
  }

  private void write(EvalTask wanted, ObjectNode result, ObjectNode settings) {
    ObjectNode whole = result.deepCopy();
    whole.set("run", settings);
    OutputFile.write(out.resolve("result.json"), (whole.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8));
    StringBuilder title = new StringBuilder();
    settings.propertyStream().forEach(setting -> title.append(title.isEmpty() ? "" : ", ").append(setting.getKey()).append(' ')
        .append(setting.getValue().asText()));
    OutputFile.write(out.resolve("result.md"), EvalTable.of(wanted, result, title + ".").getBytes(StandardCharsets.UTF_8));
  }

  private void print(EvalTask wanted, ObjectNode result) {
    if (json) {
      System.out.println(result);
    } else {
      int samples = result.remove("samples").size();
      result.remove("task");
      System.out.println(wanted.id() + ": " + samples + " answers");
      result.propertyStream().forEach(figure -> System.out.printf("  %-24s %s%n", figure.getKey(), figure.getValue().isDouble()
          ? String.format("%.4f", figure.getValue().asDouble()) : figure.getValue().asText()));
    }
  }

  private ParameterException usage(String message) {
    return new ParameterException(spec.commandLine(), message);
  }
}
