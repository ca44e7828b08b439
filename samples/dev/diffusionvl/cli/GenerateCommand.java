// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ChatPrompt.Turn;
import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.ImageGrid;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFamily;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.model.BlockPreview;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GemmChoice;
import dev.diffusionvl.model.GenerationListener;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.GenerationResult;
import dev.diffusionvl.model.KvChoice;
import dev.diffusionvl.model.MemoryNeed;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.model.Session;
import dev.diffusionvl.model.constraint.Constraint;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code dvl generate}: an image and a question in, the answer out, block by block. */
@Command(name = "generate", description = "Answers a question about images.", mixinStandardHelpOptions = true,
    showDefaultValues = true)
final class GenerateCommand implements Callable<Integer> {
  /** A prompt on standard input has at most so many bytes; models take far less. */
  private static final int MAX_PROMPT_BYTES = 1 << 20;

  @Option(names = "--image", paramLabel = "FILE", description = "image; may be repeated")
  private List<Path> images = new ArrayList<>();

  @Option(names = "--images", paramLabel = "HOW", defaultValue = "separate",
      description = "several images: separate, or grid (tiles of one picture, for models that were trained on single images)")
  private String arrangement;

  @Option(names = "--prompt", paramLabel = "TEXT", description = "the question; - reads it from standard input")
  private String prompt;

  @Option(names = "--history", paramLabel = "FILE", description = "JSON: what was said before, a list of [question, answer]; images "
      + "belong to the first question")
  private Path history;

  @Option(names = "--system", paramLabel = "TEXT", description = "system text (default: that of the prompt form)")
  private String system;

  @Mixin private AnswerOptions options;

  @Mixin private ConstraintOptions allowed;

  @Option(names = "--json", description = "print one JSON object instead of the text")
  private boolean json;

  @Option(names = "--show-drafts", description = "on a terminal: show the block that is being denoised")
  private boolean showDrafts;

  @Option(names = "--trace", paramLabel = "FILE", description = "write what each step commits as JSON lines")
  private Path trace;

  @Override
  public Integer call() {
    options.check();
    boolean grid = ModelChoice.choice("images", arrangement, "separate", false, "grid", true);
    DType type = options.model().dtype();
    GemmChoice gemm = options.model().gemm();
    options.model().kv();
    DeviceSpec spec = options.model().device();
    if (grid && (images.size() < ImageGrid.FEWEST || images.size() > ImageGrid.MOST)) {
      throw new Dvl.UsageException("--images grid takes " + ImageGrid.FEWEST + " to " + ImageGrid.MOST + " images, there are "
          + images.size());
    }
    if (prompt == null) { // not required of picocli, which would complain of this before it says which option is misspelt
      throw new Dvl.UsageException("--prompt is missing");
    }
    if (prompt.equals("-")) {
      prompt = standardInput();
    }
    if (prompt.isBlank()) {
      throw new Dvl.UsageException("--prompt is empty");
    }
    if (showDrafts && !Terminal.AT_STDOUT) {
      System.err.println("dvl: --show-drafts has no effect: standard output is not a terminal");
    }
    // Cheap things that can be wrong come before the device and the weights.
    Path directory = options.model().directory();
    List<RgbImage> pictures = new ArrayList<>();
    for (Path image : images) {
      pictures.add(ImageFiles.read(image));
    }
    List<Turn> turns = new ArrayList<>(history == null ? List.of() : HistoryFile.read(history));
    turns.add(new Turn(true, prompt));
    Constraint constraint = allowed.constraint();
    TraceFile traceFile = trace == null ? null : new TraceFile(trace);
    try (ModelFiles files = ModelFiles.open(directory)) {
      files.remarks().forEach(remark -> System.err.println("dvl: " + remark));
      GenerationOptions generation = options.generation(files.config(), constraint);
      Request request = request(pictures, grid, options.form(files.config()), turns, files.config());
      KvChoice kv = options.model().kv(files.config());
      MemoryNeed need = MemoryNeed.of(files, type, kv, request, generation);
      try (Device gpu = Device.open(spec)) {
        options.model().announce(gpu, need);
        need.requireFree(gpu);
        try (DiffusionVl loaded = DiffusionVl.load(gpu, files, type, LoadBar.onTerminal());
            Session session = loaded.newSession(gemm, true, kv)) {
          loaded.remarks().forEach(remark -> System.err.println("dvl: " + remark));
          GenerationResult result = session.generate(request, generation, new Listener(traceFile));
          if (traceFile != null) {
            traceFile.write();
          }
          System.out.println(json ? ResultJson.of(result, generation.decoding(), gpu, type) : "");
          ConstraintOptions.remarks(result, constraint);
          if (Terminal.AT_STDERR) {
            System.err.println(Terminal.timing(result));
          }
        }
      }
    }
    return 0;
  }

  private Request request(List<RgbImage> pictures, boolean grid, PromptForm form, List<Turn> turns, ModelConfig config) {
    if (grid) {
      long pixels = config.maxPixels() > 0 ? config.maxPixels() : ImageGrid.DEFAULT_PIXELS;
      Request.Builder conversation = Request.builder(form).system(system).grid(pictures, pixels);
      for (int i = 0; i < turns.size() - 1; i += 2) {
        conversation.text(turns.get(i).text()).assistant(turns.get(i + 1).text());
      }
      return conversation.text(prompt).build();
    }
    if (pictures.size() > 1 && config.family() == ModelFamily.QWEN_VL && config.diffusion()) {
      System.err.println("dvl: the released checkpoints of this family were trained on single images and answer little to "
          + pictures.size() + "; --images grid makes one picture of them");
    }
    return new Request(turns, pictures, system, form);
  }

  private static String standardInput() {
    try {
      byte[] bytes = System.in.readNBytes(MAX_PROMPT_BYTES + 1);
      if (bytes.length > MAX_PROMPT_BYTES) {
        throw new BadInputException("standard input: a prompt has at most " + MAX_PROMPT_BYTES + " bytes");
      }
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString().strip();
    } catch (CharacterCodingException e) {
      throw new BadInputException("standard input: not UTF-8", e);
    } catch (IOException e) {
      throw new BadInputException("standard input: cannot be read: " + e, e);
    }
  }

  private final class Listener implements GenerationListener {
    private final TraceFile traceFile;
    private final boolean drafts = showDrafts && Terminal.AT_STDOUT && !json;

    Listener(TraceFile traceFile) {
      this.traceFile = traceFile;
    }

    @Override
    public boolean isLive() {
      return drafts; // text and trace are written block by block or later
    }

    @Override
    public void onStep(int block, int step, List<Commit> committed) {
      if (traceFile != null) {
        traceFile.add(block, step, committed);
      }
    }

    @Override
    public void onPreview(BlockPreview preview) {
      if (drafts) {
        Terminal.draft(System.out, preview);
      }
    }

    @Override
    public void onText(String text) {
      if (!json) {
        if (drafts) {
          Terminal.clearDraft(System.out);
        }
        System.out.print(text);
        System.out.flush(); // block by block
      }
    }
  }
}
