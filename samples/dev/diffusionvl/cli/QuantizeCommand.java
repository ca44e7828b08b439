// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.bench.Bundled;
import dev.diffusionvl.eval.ExactMatch;
import dev.diffusionvl.eval.Picture;
import dev.diffusionvl.loader.Inspection;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.OutputFolder;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.MemoryNeed;
import dev.diffusionvl.quantize.Calibration;
import dev.diffusionvl.quantize.LayerSamples;
import dev.diffusionvl.quantize.QuantizeOptions;
import dev.diffusionvl.quantize.Quantizer;
import dev.diffusionvl.quantize.StepPredictions;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.train.ConversationData;
import dev.diffusionvl.train.ForwardPass;
import dev.diffusionvl.train.HeldOut;
import dev.diffusionvl.train.RowEncoder;
import dev.diffusionvl.train.TrainingRow;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code dvl quantize}: a checkpoint in, the same with weights of 8 or 4 bits out, and what that cost. */
@Command(name = "quantize", description = "Writes a checkpoint with weights of 8 or 4 bits, and says what that cost.",
    mixinStandardHelpOptions = true, showDefaultValues = true)
final class QuantizeCommand implements Callable<Integer> {
  private static final int MAX_ROWS = 2048; // of a calibration record: longer ones are cut
  private static final int COMPARED = 16; // records at most whose predictions are compared
  private static final int STOPPED = 130; // as a shell says of a process that Ctrl-C ended

  @Parameters(paramLabel = "MODEL", description = "checkpoint folder")
  private Path model;

  @Option(names = "--to", paramLabel = "FORMAT", required = true, description = "fp8 (E4M3, a scale per output) or int4 (groups of inputs, "
      + "scaled by what the layers see)")
  private String format;

  @Option(names = "--out", paramLabel = "DIR", required = true, description = "folder to write; must not exist")
  private Path out;

  @Option(names = "--group", paramLabel = "N", defaultValue = "128", description = "of int4: inputs that share a scale: 32, 64 or 128")
  private int group;

  @Option(names = "--include", paramLabel = "PARTS", split = ",", description = "what else becomes smaller: head (the output matrix), "
      + "vision (tower and projector)")
  private Set<String> parts = Set.of();

  @Option(names = "--data", paramLabel = "FILE", description = "conversations in the LLaVA format for the layers to see (default: the "
      + "shapes that come with the project)")
  private Path data;

  @Option(names = "--images", paramLabel = "DIR", description = "folder that the records' image names are relative to (default: that of "
      + "the file they stand in)")
  private Path images;

  @Option(names = "--records", paramLabel = "N", defaultValue = "64", description = "conversations that the layers see, beside up to "
      + "16 more on which predictions are compared; 0: no model is run, weights are rounded as they are")
  private int records;

  @Option(names = "--seed", paramLabel = "N", defaultValue = "42", description = "of the choice of conversations and of the masks")
  private long seed;

  @Option(names = "--eval", paramLabel = "FILE", description = "conversations whose last answers are asked for before and after, and "
      + "counted where they are right word for word")
  private Path eval;

  @Option(names = "--eval-limit", paramLabel = "N", defaultValue = "0", description = "questions to ask, from the first on (0: all)")
  private int evalLimit;

  @Option(names = "--dtype", paramLabel = "TYPE", defaultValue = "bf16", description = "how the model is run: bf16 or f32")
  private String dtype;

  @Option(names = "--device", paramLabel = "D", description = "auto, gpu, gpu:N or emulated (default: auto, or -Ddvl.device)")
  private String device;

  @Option(names = "--json", description = "print one JSON object")
  private boolean json;

  @Override
  public Integer call() {
    QuantizeOptions options = options();
    DType type = ModelChoice.choice("dtype", dtype, "bf16", DType.BF16, "f32", DType.F32);
    DeviceSpec where = ModelChoice.device(device);
    require(records >= 0, "records", records, "0 or more");
    require(evalLimit >= 0, "eval-limit", evalLimit, "0 or more");
    if (records == 0 && eval != null) {
      throw new Dvl.UsageException("--eval runs the model, which --records 0 leaves out");
    }
    OutputFolder.create(out).close(); // what cannot be written is said before the work
    try (ModelFiles files = ModelFiles.open(model); StopRequest stop = new StopRequest(System.err, "stopping, nothing is written")) {
      files.remarks().forEach(QuantizeCommand::say);
      Quantizer.require(files, options);
      WorkProgress progress = new WorkProgress(System.err, stop::isMade);
      QuantizeReport report = new QuantizeReport(options, model, out, Inspection.of(model));
      if (records == 0) {
        report.written(Quantizer.write(files, out, options, null, null, progress));
      } else {
        run(files, options, type, where, progress, report);
      }
      report.remarks().forEach(QuantizeCommand::say);
      System.out.print(json ? report.json() + "\n" : report.text());
      return 0;
    } catch (CancellationException e) {
      return STOPPED;
    }
  }

  private QuantizeOptions options() {
    boolean int4 = ModelChoice.choice("to", format, "fp8", false, "int4", true);
    require(group == 32 || group == 64 || group == 128, "group", group, "32, 64 or 128");
    for (String part : parts) {
      require(part.equals("head") || part.equals("vision"), "include", part, "head, vision or both");
    }
    return new QuantizeOptions(int4 ? QuantizeOptions.Format.INT4 : QuantizeOptions.Format.FP8, group, parts.contains("head"),
        parts.contains("vision"));
  }

  private static void require(boolean ok, String option, Object value, String allowed) {
    if (!ok) {
      throw new Dvl.UsageException("--" + option + " is " + value + ", allowed is " + allowed);
    }
  }

  private static void say(String remark) {
    System.err.println("dvl: " + remark);
  }

  /** Runs the model before and after. */
  private void run(ModelFiles files, QuantizeOptions options, DType type, DeviceSpec where, WorkProgress progress, QuantizeReport report) {
    Path file = data != null ? data : Bundled.file("--data", "samples", "data", "shapes", "train.json");
    Path folder = data == null ? Bundled.file("--data", "samples", "data", "shapes", "images") : Picture.folder(data, images);
    if (data == null) {
      say("the layers see drawn shapes, which come with the project; --data FILE names conversations of your own");
    }
    RowEncoder.Options plain = RowEncoder.Options.of(files.config(), folder);
    RowEncoder.Options rows = plain.withMaxLength(Math.min(MAX_ROWS, plain.maxLength()));
    List<TrainingRow> seen;
    List<TrainingRow> compared;
    try (ConversationData conversations = ConversationData.open(file, new RowEncoder(files.config(), files.tokenizer(), rows))) {
      int more = Math.min(COMPARED, records);
      int wanted = (int) Math.min(Integer.MAX_VALUE, (long) records + more);
      List<String> skipped = new ArrayList<>();
      List<TrainingRow> all = Calibration.records(conversations, wanted, seed, skipped::add);
      if (!skipped.isEmpty()) {
        say("conversations that cannot be used: " + skipped.size() + ", one of them: " + skipped.getFirst());
      }
      int count = Math.min(records, Math.max(1, all.size() - more));
      seen = all.subList(0, count);
      compared = count < all.size() ? all.subList(count, all.size()) : all; // what the layers did not see, if there is more
    }
    ExactMatch questions = eval == null ? null : ExactMatch.read(files, eval, images, evalLimit,
        GenerationOptions.of(files.config())).briefly(files.tokenizer(), files.config().blockSize()).checked(files, type);
    try (Device gpu = Device.open(where)) {
      HeldOut.Score scoreBefore;
      StepPredictions before;
      MemoryNeed.of(files, type, 0).requireFree(gpu);
      try (DiffusionVl loaded = DiffusionVl.load(gpu, files, type, LoadBar.onTerminal())) {
        loaded.remarks().forEach(QuantizeCommand::say);
        LayerSamples samples;
        try (ForwardPass pass = new ForwardPass(loaded)) {
          samples = Calibration.collect(files.config(), pass, seen, options.head(), seed, progress);
          before = StepPredictions.of(files.config(), pass, compared, seed, progress);
        }
        scoreBefore = questions == null ? null : ask(questions, loaded, progress);
        report.calibrated(file, seen.size(), samples.most());
        report.written(Quantizer.write(files, out, options, gpu, samples, progress));
      }
      try (ModelFiles small = ModelFiles.open(out); DiffusionVl loaded = DiffusionVl.load(gpu, small, type, LoadBar.onTerminal())) {
        try (ForwardPass pass = new ForwardPass(loaded)) {
          report.agreed(StepPredictions.of(files.config(), pass, compared, seed, progress).with(before));
        }
        if (questions != null) {
          report.scored(eval, scoreBefore, ask(questions, loaded, progress));
        }
      }
    }
  }

  private static HeldOut.Score ask(ExactMatch questions, DiffusionVl loaded, WorkProgress progress) {
    int count = questions.questions().size();
    int[] asked = new int[2]; // and right
    questions.ask(loaded, answer -> {
      progress.step("asking", ++asked[0], count);
      asked[1] += answer.score() == 1 ? 1 : 0;
    });
    return new HeldOut.Score(asked[1], count);
  }
}
