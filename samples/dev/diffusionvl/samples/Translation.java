// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.LoadListener;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.train.BadRecord;
import dev.diffusionvl.train.BlockDiffusionObjective;
import dev.diffusionvl.train.ConversationData;
import dev.diffusionvl.train.HeldOut;
import dev.diffusionvl.train.RowEncoder;
import dev.diffusionvl.train.TrainedPart;
import dev.diffusionvl.train.Trainer;
import dev.diffusionvl.train.TrainerOptions;
import dev.diffusionvl.train.TrainingListener;
import dev.diffusionvl.train.TrainingRun;
import java.nio.file.Path;
import java.util.Set;

/** Makes a DiffusionVL of an autoregressive checkpoint: {@code Translation BASE DATA IMAGES OUT STEPS} */
public final class Translation implements TrainingListener {
  private Translation() {}

  public static void main(String[] args) {
    if (args.length != 5) {
      System.err.println("arguments: BASE DATA IMAGES OUT STEPS, where BASE is an autoregressive checkpoint's folder, DATA a JSON file");
      System.exit(2);
    }
    try (ModelFiles base = ModelFiles.open(Path.of(args[0]))) {
      ModelConfig config = base.config().asDiffusion(base.config().maskTokenId(), 8);
      ModelFiles files = base.withConfig(config);
      RowEncoder encoder = new RowEncoder(config, files.tokenizer(), RowEncoder.Options.of(config, Path.of(args[2])));
      var objective = new BlockDiffusionObjective(config.blockSize(), config.maskTokenId(), BlockDiffusionObjective.LOWEST);
      // 8 records per step; the language model alone, at a rate that rises over 3 % of the steps and falls along a cosine.
      var options = new TrainerOptions(8, 1, 5e-4, 2e-6, 0.03, Integer.parseInt(args[4]), false, 0, 1, 5, Set.of(TrainedPart.LM), false);
      try (Device device = Device.open(DeviceSpec.AUTO);
          DiffusionVl model = DiffusionVl.load(device, files, DType.F32, LoadListener.NONE);
          ConversationData data = ConversationData.open(Path.of(args[1]), encoder)) {
        new TrainingRun(model, files, data, objective, options, Path.of(args[3]), 0, false, HeldOut.NONE).run(false, new Translation());
      }
    }
  }

  @Override
  public void step(Trainer.Step step) {
    System.out.printf("step %d, loss %.4f%n", step.step(), step.loss());
  }

  @Override
  public void skipped(BadRecord record) {
    System.out.println("skipped " + record.line());
  }
}
