// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.LoadListener;
import dev.diffusionvl.model.SigLipCheckpoint;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A run that goes on is the run that never stopped, whatever is trained: several passes per step, several passes over the data. */
class ResumedPartsTest {
  private static final int STEPS = 6;
  private static final int STOP_BEHIND = 4; // in the second pass over the data
  private static final List<String> RESULTS = List.of("train.jsonl", "skipped.jsonl", "model.safetensors", "config.json");

  @TempDir private static Path temp;
  private static Device device;
  private static Path base;
  private static Path data;

  @TempDir private Path folder;

  @BeforeAll
  static void prepare() {
    base = temp.resolve("base");
    SigLipCheckpoint.write(base);
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    data = new TrainingFolder(temp).writeLines("data.jsonl", List.of(
        TrainingFolder.record("a", "yellow-square.png", "What color is the square?", "Yellow."), "{\"id\": \"bad\"}",
        TrainingFolder.record("b", "square-and-cross.png", "Describe this image.", "A square and a cross."),
        TrainingFolder.record("c", null, "Hello!", "Hi!"), TrainingFolder.record("d", null, "Who are you?", "A model."),
        TrainingFolder.record("e", "yellow-square.png", "How many shapes are there?", "One."),
        TrainingFolder.record("f", null, "What is 3 plus 4?", "Seven.")));
  }

  @AfterAll
  static void close() {
    device.close();
  }

  static Stream<Set<TrainedPart>> parts() {
    return IntStream.range(1, 1 << TrainedPart.values().length).mapToObj(bits -> {
      Set<TrainedPart> parts = EnumSet.noneOf(TrainedPart.class);
      for (TrainedPart part : TrainedPart.values()) {
        if ((bits >> part.ordinal() & 1) == 1) {
          parts.add(part);
        }
      }
      return parts;
    });
  }

  @ParameterizedTest
  @MethodSource("parts")
  void goesOn(Set<TrainedPart> parts) throws IOException {
    Path whole = folder.resolve("whole");
    Path halves = folder.resolve("halves");
    run(whole, parts, false, Integer.MAX_VALUE);
    run(halves, parts, false, STOP_BEHIND);
    assertTrue(Files.exists(halves.resolve("snapshot-" + STOP_BEHIND)) && Files.notExists(halves.resolve("config.json")));
    run(halves, parts, true, Integer.MAX_VALUE);
    for (String file : RESULTS) {
      assertArrayEquals(Files.readAllBytes(whole.resolve(file)), Files.readAllBytes(halves.resolve(file)), file);
    }
    assertEquals(STEPS, Files.readAllLines(whole.resolve("train.jsonl")).size());
    assertEquals(1, Files.readAllLines(whole.resolve("skipped.jsonl")).size(), "once, though the data were passed over twice");
  }

  private static void run(Path out, Set<TrainedPart> parts, boolean resume, int stopBehind) {
    TrainerOptions options = new TrainerOptions(1, 2, 1e-3, 1e-4, 0.25, STEPS, false, 0, 1, 3, parts, parts.size() == 2);
    try (ModelFiles files = ModelFiles.open(base); DiffusionVl model = DiffusionVl.load(device, files, DType.BF16, LoadListener.NONE);
        ConversationData records = ConversationData.open(data, new RowEncoder(model.config(), model.tokenizer(),
            RowEncoder.Options.of(model.config(), Path.of("samples/images"))))) {
      BlockDiffusionObjective objective = new BlockDiffusionObjective(8, model.config().maskTokenId(), BlockDiffusionObjective.LOWEST);
      TrainingRun run = new TrainingRun(model, files, records, objective, options, out, 0, false, HeldOut.NONE);
      StoppingListener listener = new StoppingListener(stopBehind);
      run.run(resume, listener);
      assertTrue(Set.of("bad").containsAll(listener.skipped), listener.skipped.toString());
    }
  }
}
