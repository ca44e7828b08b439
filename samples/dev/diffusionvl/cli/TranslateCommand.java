// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.eval.ExactMatch;
import dev.diffusionvl.eval.Picture;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ImageFraming;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFamily;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.train.AutoregressiveObjective;
import dev.diffusionvl.train.BlockDiffusionObjective;
import dev.diffusionvl.train.ConversationData;
import dev.diffusionvl.train.Objective;
import dev.diffusionvl.train.PassSizes;
import dev.diffusionvl.train.RowEncoder;
import dev.diffusionvl.train.StepCheck;
import dev.diffusionvl.train.TrainerOptions;
import dev.diffusionvl.train.TrainingRun;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code dvl translate}: an autoregressive checkpoint and conversations in, a DiffusionVL checkpoint out. */
@Command(name = "translate", description = "Finetunes an autoregressive checkpoint into a DiffusionVL checkpoint.",
    mixinStandardHelpOptions = true, showDefaultValues = true)
final class TranslateCommand implements Callable<Integer> {
  private static final Pattern MEMORY = Pattern.compile("(\\d{1,15}(?:\\.\\d{1,9})?)([MmGg]i?[Bb])?");

  @Mixin private TrainingOptions training;
  @Mixin private HeldOutOptions heldOut;

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

  @Option(names = "--block-size", paramLabel = "N", description = "rows of a block (default: the checkpoint's, else 8)")
  private Integer blockSize;

  @Option(names = "--mask-token-id", paramLabel = "ID",
      description = "token that hides others (default: the checkpoint's, else <|mask|>, else 151671)")
  private Integer maskTokenId;

  @Option(names = "--max-length", paramLabel = "N", description = "rows at which a conversation is cut (default: the checkpoint's limit)")
  private Integer maxLength;

  @Option(names = "--objective", paramLabel = "NAME", defaultValue = "block-diffusion", description = "block-diffusion or autoregressive")
  private String objective;

  @Option(names = "--save-every", paramLabel = "N", defaultValue = "0", description = "steps between snapshots (0: none, unless "
      + "the run is stopped by Ctrl-C or SIGTERM)")
  private int saveEvery;

  @Option(names = "--resume", description = "go on behind the newest snapshot in --out")
  private boolean resume;

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
    DType type = ModelChoice.choice("dtype", dtype, "bf16", DType.BF16, "f32", DType.F32);
    if (check == null && (data == null || out == null) && !plan) {
      throw new Dvl.UsageException("--data and --out are needed, or --check, or --plan");
    }
    requireRanges();
    if (heldOut.given() && objective.equals("autoregressive")) {
      throw new Dvl.UsageException("--eval asks block by block, which --objective autoregressive does not train");
    }
    if (check == null && !plan) {
      TrainingRun.requireFolder(out, resume);
    }
    if (plan && data == null) {
      if (heldOut.given()) {
        throw new Dvl.UsageException("--plan counts what --eval takes only with --data");
      }
      return planOfLongest(type);
    }
    try (ModelFiles files = visionTower == null ? ModelFiles.open(base) : ModelFiles.join(base, visionTower, training.seed())) {
      TrainingRun.requireTrainable(files);
      ModelConfig config = withImages(translated(files.config()));
      return check != null ? check(files.withConfig(config), type) : train(files.withConfig(config), type);
    }
  }

  /** What is wrong whatever the base and the data are is said before either is read. */
  private void requireRanges() {
    training.requireRanges();
    heldOut.requireRanges();
    TrainingOptions.require(blockSize == null || blockSize >= 1, "block-size", blockSize, "1 or more");
    TrainingOptions.require(maxLength == null || maxLength >= 1, "max-length", maxLength, "1 or more");
    TrainingOptions.require(saveEvery >= 0, "save-every", saveEvery, "0 or more");
    ModelChoice.device(device);
  }

  /** The base's configuration with mask and blocks. */
  private ModelConfig translated(ModelConfig config) {
    int mask = maskTokenId != null ? maskTokenId : config.maskTokenId();
    if (mask < 0 || mask >= config.text().vocabSize()) {
      throw new Dvl.UsageException("--mask-token-id: the checkpoint names no mask token and has no row " + mask + "; choose one of its "
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
      throw new Dvl.UsageException("--image-aspect-ratio: " + e.getMessage());
    }
  }

  private int train(ModelFiles files, DType type) {
    ModelConfig config = files.config();
    RowEncoder.Options rows = RowEncoder.Options.of(config, Picture.folder(data, images));
    if (config.family() == ModelFamily.QWEN_VL) {
      rows = rows.withFraming(ModelChoice.choice("image-aspect-ratio", aspectRatio != null ? aspectRatio : "keep", "keep",
          ImageFraming.AS_IS, "pad", ImageFraming.PAD));
    }
    rows = maxLength == null ? rows : rows.withMaxLength(maxLength);
    try (ConversationData conversations = ConversationData.open(data, new RowEncoder(config, files.tokenizer(), rows))) {
      TrainerOptions options = training.of(conversations.size());
      Objective what = objective(config);
      PassSizes sizes = PassSizes.of(conversations, what);
      ExactMatch questions = heldOut.questions(files, type, images);
      PlanReport report = new PlanReport(config, type, options, sizes, questions, json);
      if (plan) {
        return report(report);
      }
      try (Device gpu = openDevice()) {
        report.print(gpu, memory == null ? gpu.memory().free() : bytes(memory));
        try (DiffusionVl model = DiffusionVl.load(gpu, files, type, LoadBar.onTerminal())) {
          TrainingRun run = new TrainingRun(model, files, conversations, what, options, out, saveEvery, strict,
              heldOut.heldOut(questions, options.steps()), sizes.of(options.batch()));
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
    return report(new PlanReport(config, type, training.options(1), PassSizes.longest(config, objective(config), length), null, json));
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
      throw new Dvl.UsageException("--memory is '" + size + "', expected a size such as 80GB, 79.1GiB or 24000MB");
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

  private Objective objective(ModelConfig config) {
    return switch (objective) {
      case "block-diffusion" -> new BlockDiffusionObjective(config.blockSize(), config.maskTokenId(), BlockDiffusionObjective.LOWEST);
      case "autoregressive" -> new AutoregressiveObjective();
      default -> throw new Dvl.UsageException("--objective is '" + objective + "', allowed are block-diffusion and autoregressive");
    };
  }
}
