// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.eval.ExactMatch;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ImageFraming;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFamily;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.train.AutoregressiveObjective;
import dev.diffusionvl.train.BlockDiffusionObjective;
import dev.diffusionvl.train.ConversationData;
import dev.diffusionvl.train.HeldOut;
import dev.diffusionvl.train.Lora;
import dev.diffusionvl.train.Objective;
import dev.diffusionvl.train.Optimizer;
import dev.diffusionvl.train.PassSizes;
import dev.diffusionvl.train.RowEncoder;
import dev.diffusionvl.train.StepCheck;
import dev.diffusionvl.train.TrainedPart;
import dev.diffusionvl.train.TrainerOptions;
import dev.diffusionvl.train.TrainingRun;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code dvl translate}: an autoregressive checkpoint and conversations in, a DiffusionVL checkpoint out. */
@Command(name = "translate", description = "Finetunes an autoregressive checkpoint into a DiffusionVL checkpoint.",
    mixinStandardHelpOptions = true, showDefaultValues = true)
final class TranslateCommand implements Callable<Integer> {
  private static final Pattern MEMORY = Pattern.compile("(\\d{1,15}(?:\\.\\d{1,9})?)([MmGg]i?[Bb])?");
  private static final Pattern LORA = Pattern.compile("(\\d{1,5})(?::(\\d{1,9}(?:\\.\\d{1,9})?))?");

  @Spec private CommandSpec spec;

  @Option(names = "--base", paramLabel = "DIR", required = true, description = "checkpoint to start from")
  private Path base;

  @Option(names = "--vision-tower", paramLabel = "DIR", description = "SigLIP tower for a --base that is a language model alone; the "
      + "projector between them is new")
  private Path visionTower;

  @Option(names = "--data", paramLabel = "FILE", description = "conversations in the LLaVA format, a JSON list or JSON lines")
  private Path data;

  @Option(names = "--images", paramLabel = "DIR",
      description = "folder that the records' image names are relative to (default: the data's)")
  private Path images;

  @Option(names = "--image-aspect-ratio", paramLabel = "MODE", description = "Qwen-VL family: keep (default), as the model is asked about "
      + "images, or pad to squares, as the paper's training does; SigLIP family: square (default of --objective autoregressive), "
      + "pad, anyres "
      + "or anyres_max_N (default: the checkpoint's, else anyres_max_4)")
  private String aspectRatio;

  @Option(names = "--out", paramLabel = "DIR", description = "folder for the checkpoint, the log and snapshots")
  private Path out;

  @Option(names = "--steps", paramLabel = "N", description = "optimiser steps (default: one pass over the data)")
  private Integer steps;

  @Option(names = "--epochs", paramLabel = "N", description = "passes over the data, in place of --steps")
  private Integer epochs;

  @Option(names = "--batch", paramLabel = "N", defaultValue = "1", description = "records in one pass")
  private int batch;

  @Option(names = "--accumulate", paramLabel = "N", defaultValue = "1", description = "passes per step, whose gradients are added up")
  private int accumulate;

  @Option(names = "--lr", paramLabel = "RATE", defaultValue = "1e-5", description = "highest learning rate of language model and projector")
  private double rate;

  @Option(names = "--lr-vision", paramLabel = "RATE", defaultValue = "2e-6", description = "highest learning rate of the vision tower")
  private double visionRate;

  @Option(names = "--warmup", paramLabel = "PART", defaultValue = "0.03", description = "part of the steps over which the rates rise")
  private double warmup;

  @Option(names = "--block-size", paramLabel = "N", description = "rows of a block (default: the checkpoint's, else 8)")
  private Integer blockSize;

  @Option(names = "--mask-token-id", paramLabel = "ID",
      description = "token that hides others (default: the checkpoint's, else <|mask|>, else 151671)")
  private Integer maskTokenId;

  @Option(names = "--max-length", paramLabel = "N", description = "rows at which a conversation is cut (default: the checkpoint's limit)")
  private Integer maxLength;

  @Option(names = "--seed", paramLabel = "N", defaultValue = "42", description = "of the order of the data and of the noise")
  private long seed;

  @Option(names = "--objective", paramLabel = "NAME", defaultValue = "block-diffusion", description = "block-diffusion or autoregressive")
  private String objective;

  @Option(names = "--train", paramLabel = "PARTS", defaultValue = "lm,projector,vision", split = ",",
      description = "parts that are trained: lm, projector, vision")
  private Set<String> parts;

  @Option(names = "--lora", paramLabel = "RANK[:ALPHA]", description = "train low-rank adapters of the language model's projections in "
      + "place of its weights, and add ALPHA/RANK times them to what is written (ALPHA: twice the rank)")
  private String lora;

  @Option(names = "--optimizer", paramLabel = "NAME", defaultValue = "adamw", description = "adamw, or adamw8bit: its moments in 8 bits")
  private String optimizer;

  @Option(names = "--recompute", description = "keep only the layers' inputs on the way forward: less memory, a third more work")
  private boolean recompute;

  @Option(names = "--save-every", paramLabel = "N", defaultValue = "0", description = "steps between snapshots (0: none, unless "
      + "the run is stopped by Ctrl-C or SIGTERM)")
  private int saveEvery;

  @Option(names = "--resume", description = "go on behind the newest snapshot in --out")
  private boolean resume;

  @Option(names = "--eval", paramLabel = "FILE", description = "held-out conversations whose last answers are asked for during the run, "
      + "and counted where they are right word for word; image names are relative to --images, else to the file's folder")
  private Path eval;

  @Option(names = "--eval-every", paramLabel = "N", description = "steps between two times of asking (default: a tenth of all steps)")
  private Integer evalEvery;

  @Option(names = "--eval-limit", paramLabel = "N", defaultValue = "0", description = "questions to ask, from the first on (0: all)")
  private int evalLimit;

  @Option(names = "--strict", description = "stop at the first bad record instead of skipping it")
  private boolean strict;

  @Option(names = "--dtype", paramLabel = "TYPE", defaultValue = "bf16", description = "bf16 or f32")
  private String dtype;

  @Option(names = "--plan", description = "print what device memory the run would take, and end; without --data for the "
      + "longest records, for which --base needs no more than its config.json")
  private boolean plan;

  @Option(names = "--memory", paramLabel = "SIZE", description = "device memory to plan with, such as 80GB (default: what is free)")
  private String memory;

  @Option(names = "--device", paramLabel = "D", description = "auto, gpu, gpu:N or emulated (default: auto, or -Ddvl.device)")
  private String device;

  @Option(names = "--check", paramLabel = "CASE",
      description = "run a recorded case with its own noise and optimiser, and print what its steps did")
  private Path check;

  @Option(names = "--json", description = "for scripts; what --check prints is one JSON object in any case")
  private boolean json;

  @Override
  public Integer call() {
    DType type = choice("dtype", dtype, "bf16", DType.BF16, "f32", DType.F32);
    if (check == null && (data == null || out == null) && !plan) {
      throw usage("--data and --out are needed, or --check, or --plan");
    }
    requireRanges();
    if (steps != null && epochs != null) {
      throw usage("--steps and --epochs exclude each other");
    }
    if (evalEvery != null && evalEvery < 1 || evalLimit < 0) {
      throw usage("--eval-every is 1 or more, --eval-limit 0 or more");
    }
    if (eval != null && objective.equals("autoregressive")) {
      throw usage("--eval asks block by block, which --objective autoregressive does not train");
    }
    if (check == null && !plan) {
      TrainingRun.requireFolder(out, resume);
    }
    if (plan && data == null) {
      return planOfLongest(type);
    }
    try (ModelFiles files = visionTower == null ? ModelFiles.open(base) : ModelFiles.join(base, visionTower, seed)) {
      TrainingRun.requireTrainable(files);
      ModelConfig config = withImages(translated(files.config()));
      return check != null ? check(files.withConfig(config), type) : train(files.withConfig(config), type);
    }
  }

  /** What is wrong whatever the base and the data are is said before either is read. */
  private void requireRanges() {
    require(batch >= 1, "batch", batch, "1 or more");
    require(accumulate >= 1, "accumulate", accumulate, "1 or more");
    require((long) batch * accumulate <= Integer.MAX_VALUE, "accumulate", accumulate, "so many that a step has fewer than 2^31 records");
    require(steps == null || steps >= 1, "steps", steps, "1 or more");
    require(epochs == null || epochs >= 1, "epochs", epochs, "1 or more");
    require(rate > 0 && rate < Double.POSITIVE_INFINITY, "lr", rate, "above 0");
    require(visionRate > 0 && visionRate < Double.POSITIVE_INFINITY, "lr-vision", visionRate, "above 0");
    require(warmup >= 0 && warmup <= 1, "warmup", warmup, "0 to 1");
    require(blockSize == null || blockSize >= 1, "block-size", blockSize, "1 or more");
    require(maxLength == null || maxLength >= 1, "max-length", maxLength, "1 or more");
    require(saveEvery >= 0, "save-every", saveEvery, "0 or more");
    ModelChoice.device(device);
  }

  private void require(boolean ok, String option, Object value, String allowed) {
    if (!ok) {
      throw usage("--" + option + " is " + value + ", allowed is " + allowed);
    }
  }

  /** The base's configuration with mask and blocks. */
  private ModelConfig translated(ModelConfig config) {
    int mask = maskTokenId != null ? maskTokenId : config.maskTokenId();
    if (mask < 0 || mask >= config.text().vocabSize()) {
      throw usage("--mask-token-id: the checkpoint names no mask token and has no row " + mask + "; choose one of its "
          + config.text().vocabSize() + " token ids");
    }
    return config.asDiffusion(mask, blockSize != null ? blockSize : config.blockSize());
  }

  private int check(ModelFiles files, DType type) {
    try (Device gpu = openDevice(); DiffusionVl model = DiffusionVl.load(gpu, files, type, LoadBar.onTerminal())) {
      System.out.println(StepCheck.run(model, check, objective(model.config()) instanceof AutoregressiveObjective));
      return 0;
    }
  }

  private Device openDevice() {
    return Device.open(ModelChoice.device(device));
  }

  /** How the SigLIP family's images are prepared, which is part of the checkpoint. */
  private ModelConfig withImages(ModelConfig config) {
    if (config.family() != ModelFamily.QWEN_SIGLIP) {
      return config;
    }
    boolean fresh = visionTower != null || config.sigLip().stretched(); // the first stage is behind it, or it has no stage behind it
    String usual = objective.equals("autoregressive") ? "square" : fresh ? "anyres_max_4" : config.sigLip().images();
    try {
      return config.withImages(aspectRatio != null ? aspectRatio : usual);
    } catch (IllegalArgumentException e) {
      throw usage("--image-aspect-ratio: " + e.getMessage());
    }
  }

  private int train(ModelFiles files, DType type) {
    ModelConfig config = files.config();
    RowEncoder.Options rows = RowEncoder.Options.of(config, EvalCommand.images(data, images));
    if (config.family() == ModelFamily.QWEN_VL) {
      rows = rows.withFraming(choice("image-aspect-ratio", aspectRatio != null ? aspectRatio : "keep", "keep", ImageFraming.AS_IS,
          "pad", ImageFraming.PAD));
    }
    rows = maxLength == null ? rows : rows.withMaxLength(maxLength);
    try (ConversationData conversations = ConversationData.open(data, new RowEncoder(config, files.tokenizer(), rows))) {
      int perStep = batch * accumulate;
      long wanted = steps != null ? steps : ((long) (epochs != null ? epochs : 1) * conversations.size() + perStep - 1) / perStep;
      require(wanted <= Integer.MAX_VALUE, "epochs", epochs, "fewer than 2^31 steps");
      TrainerOptions options = options((int) wanted);
      Objective what = objective(config);
      PassSizes sizes = PassSizes.of(conversations, what);
      PlanReport report = new PlanReport(config, type, options, sizes, json);
      if (plan) {
        return report(report);
      }
      HeldOut asked = heldOut(files, type, options.steps());
      try (Device gpu = openDevice()) {
        report.print(gpu, memory == null ? gpu.memory().free() : bytes(memory));
        try (DiffusionVl model = DiffusionVl.load(gpu, files, type, LoadBar.onTerminal())) {
          TrainingRun run = new TrainingRun(model, files, conversations, what, options, out, saveEvery, strict, asked, sizes.of(batch));
          try (StopRequest stop = new StopRequest(System.err, "stopping behind the present step, with a snapshot")) {
            TrainingProgress progress = new TrainingProgress(System.err, out, options.steps(), stop::isMade);
            run.run(resume, progress);
            progress.finish();
          }
          return 0;
        }
      }
    }
  }

  /** The plan of records as long as they may be: for this the configuration is enough. */
  private int planOfLongest(DType type) {
    ModelConfig read = ModelFiles.config(base, visionTower);
    TrainingRun.requireTower(read, base);
    ModelConfig config = withImages(read.asDiffusion(Math.max(0, read.maskTokenId()), blockSize != null ? blockSize : read.blockSize()));
    int length = maxLength != null ? maxLength : RowEncoder.Options.of(config, base).maxLength();
    return report(new PlanReport(config, type, options(1), PassSizes.longest(config, objective(config), length), json));
  }

  private int report(PlanReport report) {
    if (memory != null) {
      report.print(null, bytes(memory));
      return 0;
    }
    try (Device gpu = openDevice()) {
      report.print(gpu, gpu.memory().free());
      return 0;
    }
  }

  private long bytes(String size) {
    Matcher given = MEMORY.matcher(size);
    if (!given.matches()) {
      throw usage("--memory is '" + size + "', expected a size such as 80GB, 79.1GiB or 24000MB");
    }
    double unit = switch (given.group(2) == null ? "" : given.group(2).toLowerCase(Locale.ROOT)) {
      case "mb" -> 1e6;
      case "mib" -> 1 << 20;
      case "gib" -> 1 << 30;
      case "gb" -> 1e9;
      default -> 1;
    };
    return Math.round(Double.parseDouble(given.group(1)) * unit);
  }

  private TrainerOptions options(int wanted) {
    return new TrainerOptions(batch, accumulate, rate, visionRate, warmup, wanted, false, 0, 1, seed, trainedParts(), recompute,
        choice("optimizer", optimizer, "adamw", Optimizer.ADAMW, "adamw8bit", Optimizer.ADAMW_8BIT), lora());
  }

  private HeldOut heldOut(ModelFiles files, DType type, int last) {
    if (eval == null) {
      return HeldOut.NONE;
    }
    ExactMatch questions = ExactMatch.read(files, eval, EvalCommand.images(eval, images), evalLimit, GenerationOptions.DEFAULTS)
        .briefly(files.tokenizer(), files.config().blockSize()).checked(files, type);
    return new HeldOut(evalEvery != null ? evalEvery : Math.max(1, last / 10), questions);
  }

  private Objective objective(ModelConfig config) {
    return switch (objective) {
      case "block-diffusion" -> new BlockDiffusionObjective(config.blockSize(), config.maskTokenId(), BlockDiffusionObjective.LOWEST);
      case "autoregressive" -> new AutoregressiveObjective();
      default -> throw usage("--objective is '" + objective + "', allowed are block-diffusion and autoregressive");
    };
  }

  private Set<TrainedPart> trainedParts() {
    Set<TrainedPart> trained = EnumSet.noneOf(TrainedPart.class);
    for (String part : parts) {
      switch (part) {
        case "lm" -> trained.add(TrainedPart.LM);
        case "projector" -> trained.add(TrainedPart.PROJECTOR);
        case "vision" -> trained.add(TrainedPart.VISION);
        default -> throw usage("--train has '" + part + "', allowed are lm, projector and vision");
      }
    }
    return trained;
  }

  private Lora lora() {
    if (lora == null) {
      return null;
    }
    Matcher given = LORA.matcher(lora);
    int rank = given.matches() ? Integer.parseInt(given.group(1)) : 0;
    double alpha = rank == 0 ? 0 : given.group(2) == null ? 2.0 * rank : Double.parseDouble(given.group(2));
    if (rank == 0 || !(alpha > 0)) {
      throw usage("--lora is '" + lora + "', expected RANK or RANK:ALPHA, both above 0");
    }
    if (!trainedParts().contains(TrainedPart.LM)) {
      throw usage("--lora adapts the language model, which --train leaves out");
    }
    return new Lora(rank, alpha);
  }

  private <T> T choice(String option, String value, String first, T a, String second, T b) {
    return switch (value.toLowerCase(Locale.ROOT)) {
      case String s when s.equals(first) -> a;
      case String s when s.equals(second) -> b;
      default -> throw usage("--" + option + " is '" + value + "', allowed are " + first + " and " + second);
    };
  }

  private ParameterException usage(String message) {
    return new CommandLine.ParameterException(spec.commandLine(), message);
  }
}
