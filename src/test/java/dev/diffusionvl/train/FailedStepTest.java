// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GoldenCase;
import dev.diffusionvl.model.SigLipCheckpoint;
import dev.diffusionvl.prove.Emulator;
import dev.diffusionvl.prove.FailingCreations;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Creations fail in turn while a trainer is made and takes a step: nothing is left, and the trainer goes on when there is memory again.
 */
class FailedStepTest {
  @TempDir private static Path temp;
  private static Device device;

  @BeforeAll
  static void open() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
  }

  @AfterAll
  static void close() {
    device.close();
  }

  @AfterEach
  void nothingFailsAnyMore() {
    Emulator.failCreation(0);
  }

  @Test
  void qwen() {
    failEach(GoldenCase.MODEL);
  }

  @Test
  void sigLip() {
    Path folder = temp.resolve("tiny-siglip");
    SigLipCheckpoint.write(folder);
    failEach(folder);
  }

  private static void failEach(Path checkpoint) {
    FailingCreations creations = new FailingCreations(device);
    try (DiffusionVl model = DiffusionVl.load(device, checkpoint, DType.BF16)) {
      List<TrainingRow> rows = rows(model);
      creations.some("step of " + model.config().family(), 16, () -> {
        try (Trainer trainer = trainer(model)) {
          try {
            trainer.step(rows);
          } catch (RuntimeException e) {
            if (Emulator.creations() % 4 == 0) {
              assertEquals(1, trainer.step(rows).step());
            }
            throw e;
          }
        }
      });
    }
  }

  /** The language model is frozen to save time: what its training creates is created all the same. */
  private static Trainer trainer(DiffusionVl model) {
    TrainerOptions options = new TrainerOptions(2, 1, 1e-5, 1e-5, 0, 10, true, 0, 1, 3, EnumSet.of(TrainedPart.PROJECTOR,
        TrainedPart.VISION), false);
    return new Trainer(model, new BlockDiffusionObjective(model.config().blockSize(), model.config().maskTokenId(), 1e-3), options);
  }

  /** One conversation with an image and one without. */
  private static List<TrainingRow> rows(DiffusionVl model) {
    TrainingFolder data = new TrainingFolder(temp);
    data.writeImage("grey.png", 60, 56);
    Path file = data.writeList("data.json", List.of(TrainingFolder.record("image", "grey.png", "What is it?", "A grey box."),
        TrainingFolder.record("text", null, "How are you?", "Well.")));
    List<TrainingRow> rows = new ArrayList<>();
    try (ConversationData conversations = ConversationData.open(file,
        new RowEncoder(model.config(), model.tokenizer(), RowEncoder.Options.of(model.config(), temp)))) {
      for (int i = 0; i < 2; i++) {
        rows.add(conversations.row(i));
      }
    }
    return rows;
  }
}
