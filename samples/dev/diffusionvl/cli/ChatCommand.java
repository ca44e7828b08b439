// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GemmChoice;
import dev.diffusionvl.model.GenerationListener;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.GenerationResult;
import dev.diffusionvl.model.KvChoice;
import dev.diffusionvl.model.MemoryNeed;
import dev.diffusionvl.model.PromptLimitException;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.model.Session;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code dvl chat}: a conversation, each question with all that was said before. */
@Command(name = "chat", description = "Answers questions one after the other, as a conversation.", mixinStandardHelpOptions = true,
    showDefaultValues = true)
final class ChatCommand implements Callable<Integer> {
  private static final String COMMANDS =
      "/image FILE shows an image with the next question, /system TEXT sets the system text, /reset begins anew, /exit ends";

  @Option(names = "--image", paramLabel = "FILE", description = "image that the first question is about; may be repeated")
  private List<Path> images = new ArrayList<>();

  @Option(names = "--system", paramLabel = "TEXT", description = "system text (default: that of the prompt form)")
  private String system;

  @Mixin private AnswerOptions options;

  /** What was asked and answered, with the images of each question. */
  private record Exchange(List<RgbImage> images, String question, String answer) {}

  private PromptForm form;
  private final List<Exchange> said = new ArrayList<>();
  private final List<RgbImage> shown = new ArrayList<>();

  @Override
  public Integer call() throws IOException {
    options.check();
    DType type = options.model().dtype();
    GemmChoice gemm = options.model().gemm();
    options.model().kv();
    DeviceSpec spec = options.model().device();
    for (Path image : images) {
      shown.add(ImageFiles.read(image));
    }
    try (ModelFiles files = ModelFiles.open(options.model().directory()); Device gpu = Device.open(spec)) {
      files.remarks().forEach(remark -> System.err.println("dvl: " + remark));
      GenerationOptions generation = options.generation(files.config());
      form = options.form(files.config());
      KvChoice kv = options.model().kv(files.config());
      MemoryNeed need = MemoryNeed.of(files, type, kv, files.config().tokenizerModelMaxLength());
      options.model().announce(gpu, need);
      need.requireFree(gpu);
      try (DiffusionVl model = DiffusionVl.load(gpu, files, type, LoadBar.onTerminal());
          Session session = model.newSession(gemm, true, kv); LineSource lines = LineSource.open()) {
        model.remarks().forEach(remark -> System.err.println("dvl: " + remark));
        if (lines.interactive()) {
          System.out.println(COMMANDS);
        }
        for (String line = lines.next("> "); line != null && !line.strip().equals("/exit"); line = lines.next("> ")) {
          try {
            take(line.strip(), session, generation);
          } catch (BadInputException | PromptLimitException e) { // the conversation goes on without it
            System.err.println("dvl: " + e.getMessage());
          }
        }
      }
    }
    return 0;
  }

  private void take(String line, Session session, GenerationOptions generation) {
    String word = line.split("\\s+", 2)[0];
    String rest = line.substring(word.length()).strip();
    switch (word) {
      case "" -> { }
      case "/image" -> shown.add(ImageFiles.read(Path.of(rest)));
      case "/system" -> system = rest.isEmpty() ? null : rest;
      case "/reset" -> {
        said.clear();
        shown.clear();
      }
      default -> {
        if (word.startsWith("/")) {
          System.err.println("dvl: no such command: " + word + "; " + COMMANDS);
        } else {
          answer(line, session, generation);
        }
      }
    }
  }

  private void answer(String question, Session session, GenerationOptions generation) {
    Request.Builder conversation = Request.builder(form).system(system);
    for (Exchange exchange : said) {
      exchange.images().forEach(conversation::image);
      conversation.text(exchange.question()).assistant(exchange.answer());
    }
    shown.forEach(conversation::image);
    GenerationResult result = session.generate(conversation.text(question).build(), generation, new GenerationListener() {
      @Override
      public boolean isLive() {
        return false;
      }

      @Override
      public void onText(String text) {
        System.out.print(text);
        System.out.flush();
      }
    });
    System.out.println();
    if (Terminal.AT_STDERR) {
      System.err.println(Terminal.timing(result));
    }
    said.add(new Exchange(List.copyOf(shown), question, result.text()));
    shown.clear();
  }
}
