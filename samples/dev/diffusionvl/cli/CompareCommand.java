// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.eval.Compared;
import dev.diffusionvl.eval.Comparison;
import dev.diffusionvl.eval.EvalTask;
import dev.diffusionvl.eval.Exam;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.OutputFile;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code dvl compare}: autoregressive, full and block diffusion over the same questions, as a page. */
@Command(name = "compare", description = "Asks the same questions in each decoding and schedule, and writes a page with scores and passes.",
    mixinStandardHelpOptions = true, showDefaultValues = true)
final class CompareCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "MODEL", description = "checkpoint folder of a diffusion model")
  private Path model;

  @Option(names = "--base", paramLabel = "DIR", description = "checkpoint folder of the autoregressive model that it was made from")
  private Path base;

  @Option(names = "--task", paramLabel = "TASK", required = true, description = "a benchmark, as for dvl eval; or exact: the recorded "
      + "answer word for word")
  private String task;

  @Mixin private TaskOptions questions;

  @Option(names = "--gen-length", paramLabel = "N", description = "tokens of an answer at most (default: those of the longest right "
      + "answer, rounded up to whole blocks)")
  private Integer genLength;

  @Option(names = "--dtype", paramLabel = "TYPE", defaultValue = "bf16", description = "bf16, f16 or f32")
  private String dtype;

  @Option(names = "--device", paramLabel = "D", description = "auto, gpu, gpu:N or emulated (default: auto, or -Ddvl.device)")
  private String device;

  @Option(names = "--out", paramLabel = "FILE", defaultValue = "compare.html", description = "page to write")
  private Path out;

  @Option(names = "--json", description = "print one JSON object instead of a table")
  private boolean json;

  @Override
  public Integer call() {
    EvalTask wanted = TaskOptions.task(task);
    if (!questions.given()) {
      throw new Dvl.UsageException("--data is missing");
    }
    questions.selection(null);
    if (genLength != null && genLength < 1) {
      throw new Dvl.UsageException("--gen-length is " + genLength + ", allowed is 1 or more");
    }
    DType type = ModelChoice.dtype(dtype);
    List<Compared> rows = new ArrayList<>();
    boolean emulated;
    String where;
    try (Device gpu = Device.open(ModelChoice.device(device))) {
      emulated = gpu.emulated();
      where = emulated ? "the emulated CUDA device" : gpu.name();
      if (base != null) {
        rows.addAll(asked(wanted, gpu, base, type, false));
      }
      rows.addAll(asked(wanted, gpu, model, type, true));
    }
    CompareReport report = new CompareReport(String.format(Locale.ROOT, "Decodings of %s%s over %d questions of %s, %s, %s, %s", model,
        base == null ? "" : " and its base " + base, rows.getFirst().asked(), wanted.id(), dtype, where, LocalDate.now(ZoneOffset.UTC)),
        "dvl " + String.join(" ", spec.commandLine().getParseResult().originalArgs()), emulated, rows);
    OutputFile.write(out, report.html().getBytes(StandardCharsets.UTF_8));
    if (json) {
      System.out.println(json(rows, report));
    } else {
      System.out.print(report.markdown());
      report.findings().forEach(System.out::println);
    }
    return 0;
  }

  private List<Compared> asked(EvalTask wanted, Device gpu, Path directory, DType type, boolean diffusion) {
    try (ModelFiles files = ModelFiles.open(directory)) {
      if (files.config().diffusion() != diffusion) {
        throw BadInputException.of(directory, diffusion ? "is no diffusion model; it could be the --base of one"
            : "is a diffusion model; --base is the one that it was made from");
      }
      files.remarks().forEach(remark -> System.err.println("dvl: " + remark));
      Exam usual = questions.exam(wanted, files, null, GenerationOptions.of(files.config()));
      Exam exam = genLength == null ? usual.briefly(files.tokenizer(), files.config().blockSize()) : usual.withGenLength(genLength);
      exam.check(files, type, question -> {});
      try (DiffusionVl loaded = DiffusionVl.load(gpu, files, type, LoadBar.onTerminal())) {
        return Comparison.of(loaded, exam, row -> System.err.printf(Locale.ROOT, "dvl: %s, %s: %d of %d right, %,d forwards%n",
            row.decoding(), row.schedule(), row.right(), row.asked(), row.forwards()));
      }
    }
  }

  private static ObjectNode json(List<Compared> rows, CompareReport report) {
    ObjectNode result = JsonNodeFactory.instance.objectNode();
    ArrayNode list = result.putArray("rows");
    for (Compared row : rows) {
      list.addObject().put("decoding", row.decoding()).put("schedule", row.schedule()).put("score", row.score()).put("asked", row.asked())
          .put("tokens", row.tokens()).put("forwards", row.forwards()).put("forwards_per_token", row.forwardsPerToken())
          .put("row_forwards", row.rowForwards()).put("bytes_per_token", row.bytesPerToken())
          .put("tokens_per_second", row.tokensPerSecond()).put("first_text_ms", row.firstMillis());
    }
    report.findings().forEach(result.putArray("findings")::add);
    return result;
  }
}
