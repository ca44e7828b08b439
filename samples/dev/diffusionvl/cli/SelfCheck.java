// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.bench.ModelSpeed;
import dev.diffusionvl.loader.ChatPrompt.Turn;
import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFamily;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Execution;
import dev.diffusionvl.model.GemmChoice;
import dev.diffusionvl.model.GenerationListener;
import dev.diffusionvl.model.GenerationListener.Commit;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.GenerationResult;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.model.Session;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.train.AutoregressiveObjective;
import dev.diffusionvl.train.BlockDiffusionObjective;
import dev.diffusionvl.train.ConversationRecord;
import dev.diffusionvl.train.ForwardPass;
import dev.diffusionvl.train.Objective;
import dev.diffusionvl.train.RowEncoder;
import dev.diffusionvl.train.TrainingRow;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** The checks of {@code dvl selfcheck} on a loaded model: ways to run it that must agree. */
final class SelfCheck {
  static final String PROMPT = "Describe this image.";
  private static final String TEXT_PROMPT = "What is the capital of France?";
  private static final String ANSWER = "The image shows a shape on a plain ground.";
  private static final String SMOKE = "In the image, a woman and her dog are enjoying a moment of connection on a sandy beach.";
  private static final int SMOKE_LENGTH = 128;
  private static final double SURE = 0.9;

  private final Path image;
  private final Path smokeImage; // null: not given
  private final int genLength;
  private final SelfCheckReport report;
  private float[] logits; // of the run before, in another type
  private LogitStatistics statistics;

  /** What a generation did. */
  private record Answered(GenerationResult result, List<Commit> commits) {
    boolean sameTokens(Answered other) {
      return Arrays.equals(result.tokenIds(), other.result.tokenIds());
    }

    /** Tokens, order and confidences, bit for bit. */
    boolean same(Answered other) {
      return sameTokens(other) && commits.equals(other.commits);
    }

    /** What both were surest of where they first differ; 0: nowhere, or one had stopped. */
    double sureness(Answered other) {
      for (int i = 0; i < Math.min(commits.size(), other.commits.size()); i++) {
        Commit mine = commits.get(i);
        Commit theirs = other.commits.get(i);
        if (mine.position() != theirs.position() || mine.token() != theirs.token()) {
          return Math.min(mine.confidence(), theirs.confidence());
        }
      }
      return 0;
    }
  }

  /** @param image that the fixed question is about */
  SelfCheck(Path image, Path smokeImage, int genLength, SelfCheckReport report) {
    this.image = image;
    this.smokeImage = smokeImage;
    this.genLength = genLength;
    this.report = report;
  }

  /** All checks of a model in its type. */
  void run(ModelFiles files, DiffusionVl model) {
    String type = model.dtype().suffix();
    ModelConfig config = files.config();
    ObjectNode json = report.json().withObject("/runs/" + type);
    Request request = request(config, image);
    GenerationOptions options = GenerationOptions.of(config).withGenLength(genLength);
    try (Session session = model.newSession()) {
      Answered first = ask(session, request, options);
      put(json.putObject("answer"), first.result());
      report.line("%s: \"%s\" in %d passes, %.1f tokens/s, load %.1f s", type, first.result().text(), first.result().counts().forwards(),
          first.result().tokensPerSecond(), model.loadMillis() / 1e3);
      compare(type + ", the same question twice: the same bits", first, ask(session, request, options), true);
      compare(type + ", graphs and single launches: the same bits", first,
          ask(session, request, options.withExecution(new Execution(false, true, 0))), true);
      gemm(type, model, request, options);
      logits(type, files, model, json);
      if (smokeImage != null && model.dtype() == DType.BF16) {
        smoke(config, session);
      }
      if (model.dtype() == DType.BF16) {
        speed(model, session);
      }
    }
  }

  private static Request request(ModelConfig config, Path picture) {
    boolean text = config.family() == ModelFamily.QWEN_TEXT;
    return new Request(text ? TEXT_PROMPT : PROMPT, text ? List.of() : List.of(ImageFiles.read(picture)), null, PromptForm.of(config));
  }

  private static Answered ask(Session session, Request request, GenerationOptions options) {
    List<Commit> commits = new ArrayList<>();
    GenerationResult result = session.generate(request, options, new GenerationListener() {
      @Override
      public void onStep(int block, int step, List<Commit> committed) {
        commits.addAll(committed);
      }
    });
    return new Answered(result, commits);
  }

  private void compare(String name, Answered one, Answered other, boolean bits) {
    boolean same = bits ? one.same(other) : one.sameTokens(other);
    report.check(name, same, same ? "so it is" : "\"" + one.result().text() + "\" and \"" + other.result().text() + "\"");
  }

  /** Our own products beside those of cuBLAS, and drafts with our own, which give a row the same bits in every pass. */
  private void gemm(String type, DiffusionVl model, Request request, GenerationOptions options) {
    String products = type + ", own and cuBLAS products: "
        + (model.dtype() == DType.F32 ? "the same tokens" : "the same tokens but at near ties");
    String drafts = type + ", with and without drafts: the same tokens";
    Answered cublas;
    try (Session session = model.newSession(GemmChoice.CUBLAS)) {
      cublas = ask(session, request, options);
    }
    try (Session session = model.newSession(GemmChoice.OWN)) {
      Answered own = ask(session, request, options);
      double sure = own.sureness(cublas);
      boolean near = model.dtype() != DType.F32 && sure <= SURE;
      report.check(products, own.sameTokens(cublas) || near, own.sameTokens(cublas) ? "so it is"
          : String.format(Locale.ROOT, "both were sure by %.2f or more where they first differ; a near tie is up to %.1f", sure, SURE));
      compare(drafts, own, ask(session, request, options.withExecution(new Execution(true, true, 3))), false);
    } catch (IllegalArgumentException e) { // sizes that our kernels are not made for
      report.leftOut(products, e.getMessage());
      report.leftOut(drafts, e.getMessage());
    }
  }

  /** Logits of a fixed text with all of its answer hidden, in the two types. */
  private void logits(String type, ModelFiles files, DiffusionVl model, ObjectNode json) {
    ModelConfig config = files.config();
    boolean text = config.family() == ModelFamily.QWEN_TEXT;
    Path file = image.toAbsolutePath();
    ConversationRecord record = new ConversationRecord("selfcheck", text ? List.of() : List.of(file.getFileName().toString()),
        List.of(new Turn(true, (text ? "" : "<image>\n") + PROMPT), new Turn(false, ANSWER)));
    TrainingRow row = new RowEncoder(config, files.tokenizer(), RowEncoder.Options.of(config, file.getParent())).encode(record);
    Objective objective = config.diffusion()
        ? new BlockDiffusionObjective(config.blockSize(), config.maskTokenId(), BlockDiffusionObjective.LOWEST)
        : new AutoregressiveObjective();
    float[] found;
    try (ForwardPass pass = new ForwardPass(model)) {
      found = pass.logits(row, objective.largest(List.of(row.example())));
    }
    LogitStatistics mine = LogitStatistics.of(found, config.text().vocabSize());
    put(json.putObject("logits"), mine);
    report.line("%s logits of %d rows: mean %.4f, deviation %.4f, %.3f to %.3f, entropy %.4f nats, confidence %.4f; first row: %s", type,
        mine.rows(), mine.mean(), mine.deviation(), mine.least(), mine.most(), mine.entropy(), mine.confidence(),
        mine.firstTop().stream().map(top -> String.format(Locale.ROOT, "%d (%.3f)", top.token(), top.logit()))
            .collect(Collectors.joining(", ")));
    report.check(type + ", logits are numbers", mine.notFinite() == 0, mine.notFinite() + " of " + found.length + " are not");
    if (logits != null) {
      double difference = LogitStatistics.difference(found, logits);
      report.json().put("logits_difference", difference).put("same_best_token", mine.sameBest(statistics));
      report.check("bf16 and f32 logits differ by " + SelfCheckCommand.LOGITS + " at most", difference <= SelfCheckCommand.LOGITS,
          String.format(Locale.ROOT, "by %.4f of their size; the most likely token is the same in %.1f %% of the rows", difference,
              100 * mine.sameBest(statistics)));
    }
    logits = found;
    statistics = mine;
  }

  /** An owner's own repetition of what another owner published: of the 7B model of the Qwen2.5-VL family. */
  private void smoke(ModelConfig config, Session session) {
    Answered answer = ask(session, request(config, smokeImage), GenerationOptions.of(config).withGenLength(SMOKE_LENGTH));
    boolean begins = answer.result().text().strip().startsWith(SMOKE);
    report.json().putObject("smoke").put("image", smokeImage.toString()).put("text", answer.result().text()).put("as_published", begins);
    report.line("smoke test: \"%s\"", answer.result().text());
    boolean released = config.family() == ModelFamily.QWEN_VL && config.diffusion() && config.text().hiddenSize() == 3584
        && config.text().layers() == 28;
    String name = "the published answer to Qwen's demo picture begins \"" + SMOKE + "\"";
    if (released) {
      report.check(name, begins, "\"" + answer.result().text() + "\"");
    } else {
      report.leftOut(name, "it is of DiffusionVL-Qwen2.5VL-7B, which this is not");
    }
  }

  private void speed(DiffusionVl model, Session session) {
    ModelSpeed speed = ModelSpeed.measure(model, session, Math.min(512, model.config().text().maxPositionEmbeddings() / 2));
    ObjectNode json = report.json().putObject("speed");
    json.put("copy_gbps", speed.copyBytesPerSecond() / 1e9).put("read_gbps", speed.readBytesPerSecond() / 1e9)
        .put("gemm_tflops", speed.flopsPerSecond() / 1e12).put("upload_gbps", speed.uploadBytesPerSecond() / 1e9);
    report.line("measured here: copy %.1f GB/s, read %.1f GB/s, bf16 product %.2f TFLOP/s, upload %.1f GB/s%s",
        speed.copyBytesPerSecond() / 1e9, speed.readBytesPerSecond() / 1e9, speed.flopsPerSecond() / 1e12,
        speed.uploadBytesPerSecond() / 1e9, model.device().emulated() ? " (not a GPU: these times say nothing)" : "");
    var forwards = json.putArray("forwards");
    for (ModelSpeed.Forward forward : speed.forwards()) {
      forwards.addObject().put("rows", forward.rows()).put("context", forward.context()).put("ms", forward.millis())
          .put("floor_ms", forward.floorMillis());
      report.line("a forward of %d rows behind %d: %.3f ms; reading its bytes takes %.3f ms (%.0f %%)", forward.rows(), forward.context(),
          forward.millis(), forward.floorMillis(), 100 * forward.floorMillis() / forward.millis());
      report.check("bf16, a forward of " + forward.rows() + " rows gives probabilities", forward.sane(), forward.sane() ? "so it does"
          : "they are no numbers, or all the same");
    }
  }

  private static void put(ObjectNode json, GenerationResult result) {
    json.put("text", result.text());
    Arrays.stream(result.tokenIds()).forEach(json.putArray("token_ids")::add);
    json.put("prompt_tokens", result.promptTokens()).put("image_tokens", result.imageTokens())
        .put("forwards", result.counts().forwards()).put("load_ms", result.timings().load()).put("vision_ms", result.timings().vision())
        .put("prefill_ms", result.timings().prefill()).put("decode_ms", result.timings().decode())
        .put("tokens_per_second", result.tokensPerSecond());
  }

  private static void put(ObjectNode json, LogitStatistics logits) {
    json.put("rows", logits.rows()).put("not_finite", logits.notFinite()).put("mean", logits.mean()).put("deviation", logits.deviation())
        .put("min", logits.least()).put("max", logits.most()).put("entropy", logits.entropy()).put("confidence", logits.confidence());
    Arrays.stream(logits.best()).forEach(json.putArray("most_likely")::add);
    var top = json.putArray("first_row");
    logits.firstTop().forEach(entry -> top.addObject().put("token", entry.token()).put("logit", entry.logit()));
  }
}
