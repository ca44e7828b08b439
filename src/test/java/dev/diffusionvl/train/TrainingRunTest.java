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
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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

  @Test
  void bf16KeepsItsMasters() throws IOException {
    Path data = data();
    train(data, folder.resolve("whole"), DType.BF16, false, Integer.MAX_VALUE);
    train(data, folder.resolve("halves"), DType.BF16, false, 2);
    train(data, folder.resolve("halves"), DType.BF16, true, Integer.MAX_VALUE);
    assertArrayEquals(Files.readAllBytes(folder.resolve("whole/model.safetensors")),
        Files.readAllBytes(folder.resolve("halves/model.safetensors")));
  }

  @Test
  void questionsDuringTheRunChangeNothingOfIt() throws IOException {
    Path data = data();
    Path shapes = Path.of("samples/data/shapes");
    Function<ModelFiles, HeldOut> asking = files -> new HeldOut(3, ExactMatch.read(files, shapes.resolve("eval.json"),
        shapes.resolve("images"), 4, GenerationOptions.DEFAULTS).briefly(files.tokenizer(), 8).checked(files, DType.BF16));
    train(data, folder.resolve("quiet"), DType.BF16, false, Integer.MAX_VALUE);
    run(data, folder.resolve("asked"), DType.BF16, false, STEPS, Integer.MAX_VALUE, asking);
    run(data, folder.resolve("halves"), DType.BF16, false, STEPS, 2, asking);
    run(data, folder.resolve("halves"), DType.BF16, true, STEPS, Integer.MAX_VALUE, asking);
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
    assertTrue(assertThrows(BadInputException.class, () -> run(data, out, DType.F32, true, 9, 1)).getMessage().contains("settings"));
    assertTrue(assertThrows(BadInputException.class, () -> train(data, out, DType.F32, false, 2)).getMessage().contains("--resume"));
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
    run(data, out, dtype, resume, STEPS, stopBehind);
  }

  private void run(Path data, Path out, DType dtype, boolean resume, int steps, int stopBehind) {
    run(data, out, dtype, resume, steps, stopBehind, files -> HeldOut.NONE);
  }

  private void run(Path data, Path out, DType dtype, boolean resume, int steps, int stopBehind, Function<ModelFiles, HeldOut> asking) {
    TrainerOptions options = new TrainerOptions(1, 2, 1e-3, 1e-4, 0.25, steps, false, 0, 1, 3, Set.of(TrainedPart.LM), false);
    try (Device device = device(); ModelFiles files = ModelFiles.open(BASE); DiffusionVl model = DiffusionVl.load(device, files, dtype,
        LoadListener.NONE);
        ConversationData records = ConversationData.open(data, new RowEncoder(model.config(), model.tokenizer(),
            RowEncoder.Options.of(model.config(), folder)))) {
      HeldOut heldOut = asking.apply(files);
      BlockDiffusionObjective objective = new BlockDiffusionObjective(8, model.config().maskTokenId(), BlockDiffusionObjective.LOWEST);
      new TrainingRun(model, files, records, objective, options, out, 1, true, heldOut).run(resume, new TrainingListener() {
        private int taken;

        @Override
        public void step(Trainer.Step step) {
          taken = step.step();
        }

        @Override
        public boolean isCancelled() {
          return taken >= stopBehind;
        }

        @Override
        public void skipped(BadRecord record) {
          throw new AssertionError(record.line());
        }
      });
    }
  }

  private static Device device() {
    return Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
  }
}
