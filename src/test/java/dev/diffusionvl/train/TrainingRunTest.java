// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.eval.ExactMatch;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.Inspection;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.LoadListener;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.model.Session;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Runs in a folder: log, snapshots, going on, and the checkpoint that comes out. */
class TrainingRunTest {
  private static final Path BASE = Path.of("samples/models/diffusionvl-tiny");
  private static final int STEPS = 4;

  @TempDir Path folder;

  @Test
  void aRunThatGoesOnIsTheRunThatNeverStopped() throws IOException {
    Path data = data();
    train(data, folder.resolve("whole"), DType.F32, false, Integer.MAX_VALUE);
    train(data, folder.resolve("halves"), DType.F32, false, 2);
    assertTrue(Files.exists(folder.resolve("halves/snapshot-2/state.safetensors")));
    assertTrue(Files.notExists(folder.resolve("halves/config.json")), "a run that is not finished has no checkpoint");
    Files.writeString(folder.resolve("halves/train.jsonl"), Files.readString(folder.resolve("halves/train.jsonl"))
        + "{\"step\": 3, cut"); // killed here
    train(data, folder.resolve("halves"), DType.F32, true, Integer.MAX_VALUE);
    assertArrayEquals(Files.readAllBytes(folder.resolve("whole/train.jsonl")), Files.readAllBytes(folder.resolve("halves/train.jsonl")));
    assertArrayEquals(Files.readAllBytes(folder.resolve("whole/model.safetensors")),
        Files.readAllBytes(folder.resolve("halves/model.safetensors")));
    assertEquals(STEPS, Files.readAllLines(folder.resolve("whole/train.jsonl")).size());
  }

  /** bf16 has masters to keep, moments of 8 bits have scales, and adapters are not in the model. */
  @ParameterizedTest
  @CsvSource({"BF16, ADAMW, 0", "BF16, ADAMW_8BIT, 0", "F32, ADAMW_8BIT, 0", "BF16, ADAMW, 4", "F32, ADAMW_8BIT, 3"})
  void everyKindOfStateIsKept(DType dtype, Optimizer optimizer, int rank) throws IOException {
    Path data = data();
    TrainerOptions options = options(STEPS).withOptimizer(optimizer).withLora(rank == 0 ? null : new Lora(rank, 2 * rank));
    run(data, folder.resolve("whole"), dtype, false, options, Integer.MAX_VALUE);
    run(data, folder.resolve("halves"), dtype, false, options, 2);
    run(data, folder.resolve("halves"), dtype, true, options, Integer.MAX_VALUE);
    assertArrayEquals(Files.readAllBytes(folder.resolve("whole/train.jsonl")), Files.readAllBytes(folder.resolve("halves/train.jsonl")));
    assertArrayEquals(Files.readAllBytes(folder.resolve("whole/model.safetensors")),
        Files.readAllBytes(folder.resolve("halves/model.safetensors")));
  }

  @Test
  void questionsDuringTheRunChangeNothingOfIt() throws IOException {
    questionsChangeNothing(options(STEPS));
  }

  /** While questions are asked, the weights have the adapters added. */
  @Test
  void questionsToAnAdaptedModelChangeNothingOfIt() throws IOException {
    questionsChangeNothing(options(STEPS).withLora(new Lora(4, 8)));
  }

  private void questionsChangeNothing(TrainerOptions options) throws IOException {
    Path data = data();
    Function<ModelFiles, HeldOut> asking = files -> new HeldOut(3, questions(files, 4).checked(files, DType.BF16));
    run(data, folder.resolve("quiet"), DType.BF16, false, options, Integer.MAX_VALUE);
    run(data, folder.resolve("asked"), DType.BF16, false, options, Integer.MAX_VALUE, asking);
    run(data, folder.resolve("halves"), DType.BF16, false, options, 2, asking);
    run(data, folder.resolve("halves"), DType.BF16, true, options, Integer.MAX_VALUE, asking);
    assertArrayEquals(Files.readAllBytes(folder.resolve("quiet/model.safetensors")),
        Files.readAllBytes(folder.resolve("asked/model.safetensors")));
    assertArrayEquals(Files.readAllBytes(folder.resolve("asked/train.jsonl")), Files.readAllBytes(folder.resolve("halves/train.jsonl")));
    List<String> quiet = Files.readAllLines(folder.resolve("quiet/train.jsonl"));
    List<String> asked = Files.readAllLines(folder.resolve("asked/train.jsonl"));
    for (int step = 1; step <= STEPS; step++) {
      JsonNode line = new ObjectMapper().readTree(asked.get(step - 1));
      assertEquals(step >= 3, line.has("eval_score"), "step " + step);
      assertTrue(asked.get(step - 1).startsWith(quiet.get(step - 1).substring(0, quiet.get(step - 1).length() - 1)));
      if (step >= 3) {
        assertEquals(line.get("eval_right").asDouble() / 4, line.get("eval_score").asDouble());
        assertEquals(4, line.get("eval_questions").asInt());
      }
    }
  }

  @Test
  void momentsOfEightBitsLearnAsFastAsThoseOfF32() throws IOException {
    Path data = data();
    double[] last = new double[2];
    for (Optimizer optimizer : Optimizer.values()) {
      Path out = folder.resolve(optimizer.name());
      run(data, out, DType.F32, false, options(24).withOptimizer(optimizer), Integer.MAX_VALUE);
      List<Double> losses = losses(out);
      last[optimizer.ordinal()] = mean(losses.subList(16, 24));
      assertTrue(last[optimizer.ordinal()] < 0.5 * mean(losses.subList(0, 5)), optimizer + ": " + losses);
    }
    assertEquals(last[0], last[1], 0.1 * last[0]);
  }

  private static List<Double> losses(Path run) throws IOException {
    List<Double> losses = new ArrayList<>();
    for (String line : Files.readAllLines(run.resolve("train.jsonl"))) {
      losses.add(new ObjectMapper().readTree(line).get("loss").asDouble());
    }
    return losses;
  }

  private static double mean(List<Double> values) {
    return values.stream().mapToDouble(Double::doubleValue).average().orElseThrow();
  }

  @Test
  void theCheckpointIsRunAndInspected() throws IOException {
    Path out = folder.resolve("out");
    train(data(), out, DType.F32, false, Integer.MAX_VALUE);
    Inspection found = Inspection.of(out);
    assertTrue(found.complete() && found.diffusion());
    assertEquals("D", found.scheme().letter());
    try (Device device = device(); DiffusionVl model = DiffusionVl.load(device, out, DType.F32); Session session = model.newSession()) {
      assertTrue(!session.generate(Request.of("Hello!"), GenerationOptions.DEFAULTS.withGenLength(8)).text().isEmpty());
    }
  }

  @Test
  void otherSettingsAreNoContinuation() throws IOException {
    Path data = data();
    Path out = folder.resolve("out");
    train(data, out, DType.F32, false, 2);
    Map<String, TrainerOptions> others = Map.of("--steps: the run had 4, now it is 9", options(9),
        "--optimizer: the run had adamw, now it is adamw8bit",
        options(STEPS).withOptimizer(Optimizer.ADAMW_8BIT), "--lora: the run had none, now it is 2:4.0",
        options(STEPS).withLora(new Lora(2, 4)), "--train: the run had lm, now it is lm,vision",
        options(STEPS).withParts(EnumSet.of(TrainedPart.LM, TrainedPart.VISION)));
    others.forEach((difference, other) -> {
      String message = assertThrows(BadInputException.class, () -> run(data, out, DType.F32, true, other, 1)).getMessage();
      assertTrue(message.contains(difference), message);
    });
    assertTrue(assertThrows(BadInputException.class, () -> train(data, out, DType.F32, false, 2)).getMessage().contains("--resume"));
  }

  /** The log has the scores: a run that goes on asks what it asked before, as often. */
  @Test
  void otherQuestionsAreNoContinuation() throws IOException {
    Path data = data();
    Path out = folder.resolve("out");
    run(data, out, DType.F32, false, options(STEPS), 2, files -> new HeldOut(3, questions(files, 2)));
    Map<String, Function<ModelFiles, HeldOut>> others = Map.of(
        "--eval: the run had 2 questions", files -> new HeldOut(3, questions(files, 3)),
        "now it is none", files -> HeldOut.NONE, "--eval-every: the run had 3, now it is 2", files -> new HeldOut(2, questions(files, 2)));
    others.forEach((difference, asking) -> {
      String message = assertThrows(BadInputException.class, () -> run(data, out, DType.F32, true, options(STEPS), 4, asking)).getMessage();
      assertTrue(message.contains(difference), message);
    });
  }

  private static ExactMatch questions(ModelFiles files, int limit) {
    Path shapes = Path.of("samples/data/shapes");
    return ExactMatch.read(files, shapes.resolve("eval.json"), shapes.resolve("images"), limit, GenerationOptions.DEFAULTS)
        .briefly(files.tokenizer(), 8);
  }

  @Test
  void aDamagedSnapshotIsRefused() throws IOException {
    Path data = data();
    Path out = folder.resolve("out");
    train(data, out, DType.F32, false, 2);
    Path state = out.resolve("snapshot-2/state.json");
    Files.writeString(state, "{\"step\": -");
    String message = assertThrows(BadInputException.class, () -> train(data, out, DType.F32, true, 4)).getMessage();
    assertTrue(message.contains("state.json"), message);
  }

  /** A log that somebody has spoilt is bad input, not a fault of ours. */
  @Test
  void aLogThatIsNoTextIsRefused() throws IOException {
    Path data = data();
    Path out = folder.resolve("out");
    train(data, out, DType.F32, false, 2);
    Files.write(out.resolve("train.jsonl"), new byte[] {'{', (byte) 0xff, '\n', (byte) 0xfe, '\n'});
    String message = assertThrows(BadInputException.class, () -> train(data, out, DType.F32, true, 4)).getMessage();
    assertTrue(message.startsWith(out.resolve("train.jsonl").toString()), message);
  }

  private Path data() throws IOException {
    Path file = folder.resolve("data.jsonl");
    StringBuilder lines = new StringBuilder();
    for (int i = 0; i < 7; i++) {
      lines.append("""
          {"id": "r%d", "conversations": [{"from": "human", "value": "What is %d plus 4?"}, {"from": "gpt", "value": "It is %d."}]}
          """.formatted(i, i, i + 4));
    }
    Files.writeString(file, lines);
    return file;
  }

  private void train(Path data, Path out, DType dtype, boolean resume, int stopBehind) {
    run(data, out, dtype, resume, options(STEPS), stopBehind);
  }

  private static TrainerOptions options(int steps) {
    return new TrainerOptions(1, 2, 1e-3, 1e-4, 0.25, steps, false, 0, 1, 3, Set.of(TrainedPart.LM), false);
  }

  private void run(Path data, Path out, DType dtype, boolean resume, TrainerOptions options, int stopBehind) {
    run(data, out, dtype, resume, options, stopBehind, files -> HeldOut.NONE);
  }

  private void run(Path data, Path out, DType dtype, boolean resume, TrainerOptions options, int stopBehind,
      Function<ModelFiles, HeldOut> asking) {
    try (Device device = device(); ModelFiles files = ModelFiles.open(BASE); DiffusionVl model = DiffusionVl.load(device, files, dtype,
        LoadListener.NONE);
        ConversationData records = ConversationData.open(data, new RowEncoder(model.config(), model.tokenizer(),
            RowEncoder.Options.of(model.config(), folder)))) {
      HeldOut heldOut = asking.apply(files);
      BlockDiffusionObjective objective = new BlockDiffusionObjective(8, model.config().maskTokenId(), BlockDiffusionObjective.LOWEST);
      new TrainingRun(model, files, records, objective, options, out, 1, true, heldOut).run(resume, new StoppingListener(stopBehind));
    }
  }

  private static Device device() {
    return Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
  }
}
