// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.InputFiles;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFamily;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.OutputFolder;
import dev.diffusionvl.model.DiffusionVl;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A training run in a folder: the log {@code train.jsonl}, the newest snapshot, and at the end the checkpoint. A run that is stopped at any
 * moment goes on behind its newest snapshot as if it had not been stopped, bit for bit.
 */
public final class TrainingRun {
  private final DiffusionVl model;
  private final ModelFiles files;
  private final ConversationData data;
  private final Objective objective;
  private final TrainerOptions options;
  private final PassSize largest;
  private final Path out;
  private final int saveEvery;
  private final boolean strict;
  private final HeldOut heldOut;

  /**
   * @param files that the model was loaded from; open until the run has ended
   * @param out folder of the run
   * @param saveEvery steps between snapshots; 0: none, unless the run is cancelled
   * @param strict stop at a bad record instead of skipping it
   * @param heldOut what is asked during the run
   */
  public TrainingRun(DiffusionVl model, ModelFiles files, ConversationData data, Objective objective, TrainerOptions options, Path out,
      int saveEvery, boolean strict, HeldOut heldOut) {
    this(model, files, data, objective, options, out, saveEvery, strict, heldOut, PassSizes.of(data, objective).of(options.batch()));
  }

  /**
   * The same with a pass that was looked up already.
   *
   * @param largest pass that is expected; its memory is taken before the first step
   */
  public TrainingRun(DiffusionVl model, ModelFiles files, ConversationData data, Objective objective, TrainerOptions options, Path out,
      int saveEvery, boolean strict, HeldOut heldOut, PassSize largest) {
    if (saveEvery < 0) {
      throw new IllegalArgumentException("a snapshot every " + saveEvery + " steps");
    }
    this.model = model;
    this.files = files;
    this.data = data;
    this.objective = objective;
    this.options = options;
    this.largest = largest;
    this.out = out;
    this.saveEvery = saveEvery;
    this.strict = strict;
    this.heldOut = heldOut;
  }

  /**
   * Trains to the last step and writes the checkpoint.
   *
   * @param resume go on behind the newest snapshot, if there is one
   * @throws BadInputException if the folder holds something already and is not to be resumed, or a record is bad and the run strict
   * @throws dev.diffusionvl.model.NumericalException naming the step and its records, when loss or gradients are not finite
   * @throws dev.diffusionvl.loader.OutputException if the disk is full; the newest snapshot is still there
   */
  public void run(boolean resume, TrainingListener listener) {
    requireTrainable(files);
    prepare(resume);
    RunSettings settings = RunSettings.of(model, files.checkpoint(), data, objective, options, heldOut);
    try (Trainer trainer = new Trainer(model, objective, options, listener::remark)) {
      trainer.reserve(largest);
      Snapshot from = new Snapshot(0, DataPosition.start(options.seed()), 0);
      Optional<Path> snapshot = resume ? Snapshot.newest(out) : Optional.empty();
      if (snapshot.isPresent()) {
        from = Snapshot.restore(snapshot.get(), trainer, settings);
        listener.remark("going on behind step " + from.step());
      } else if (resume) {
        listener.remark(out + " has no snapshot: starting at the beginning");
      }
      TrainLog log = new TrainLog(new LineLog(out.resolve("train.jsonl"), from.step()));
      LineLog bad = new LineLog(out.resolve("skipped.jsonl"), from.skipped());
      SkippedRecords skipped = new SkippedRecords(bad, strict ? BadRecord.Listener.STRICT : listener);
      if (steps(trainer, from.position(), settings, log, skipped, listener)) {
        trainer.finish();
        TranslatedCheckpoint.write(model, files, objective, out);
      }
      if (skipped.count() > 0) {
        listener.remark(skipped.count() + " of " + data.size() + " records were skipped; " + out.resolve("skipped.jsonl")
            + " says which and why");
      }
    }
  }

  /** False when it was cancelled. */
  private boolean steps(Trainer trainer, DataPosition from, RunSettings settings, TrainLog log, SkippedRecords skipped,
      TrainingListener listener) {
    RowStream.Options reading = new RowStream.Options(options.recordsPerStep(), Integer.MAX_VALUE);
    try (RowStream rows = data.rows(from, reading, skipped)) {
      while (trainer.steps() < options.steps()) {
        List<TrainingRow> records = new ArrayList<>();
        for (int i = 0; i < options.recordsPerStep(); i++) {
          records.add(rows.next());
        }
        Trainer.Step step = trainer.step(records);
        HeldOut.Score score = heldOut.due(step.step(), options.steps())
            ? trainer.merged(() -> heldOut.questions().score(model)) : null;
        log.add(step, score);
        listener.step(step);
        if (score != null) {
          listener.score(step.step(), score);
        }
        boolean cancelled = listener.isCancelled();
        boolean last = trainer.steps() == options.steps();
        if (saveEvery > 0 && (last || trainer.steps() % saveEvery == 0) || cancelled && !last) {
          log.lines().flush();
          skipped.lines().flush();
          Snapshot.write(out, trainer, rows.position(), skipped.count(), settings);
        }
        if (cancelled && !last) {
          listener.remark("stopped behind step " + trainer.steps() + " of " + options.steps() + "; --resume goes on there");
          return false;
        }
      }
      return true;
    }
  }

  /**
   * Refuses a base that {@link #run} would refuse, before anything is loaded.
   *
   * @throws BadInputException if its weights are quantised
   */
  public static void requireTrainable(ModelFiles files) {
    files.checkpoint().requireUnquantized("cannot be trained; take the base as it was before");
    requireTower(files.config(), files.directories().getFirst());
  }

  /** Refuses a language model alone. @throws BadInputException naming the folder */
  public static void requireTower(ModelConfig config, Path folder) {
    if (config.family() == ModelFamily.QWEN_TEXT) {
      throw BadInputException.of(folder.resolve("config.json"),
          "vision_config: missing: a language model alone, which dvl translate can give a --vision-tower");
    }
  }

  /**
   * Refuses a folder that {@link #run} would refuse, before anything is loaded.
   *
   * @throws BadInputException if there is something else of that name, or the folder holds something already and is not to be resumed
   */
  public static void requireFolder(Path out, boolean resume) {
    if (!Files.exists(out)) {
      return;
    }
    if (!Files.isDirectory(out)) {
      throw BadInputException.of(out, "is not a folder");
    }
    try (var files = Files.list(out)) {
      if (!resume && files.findAny().isPresent()) {
        throw BadInputException.of(out, "is not empty: choose another folder, or go on with --resume");
      }
    } catch (IOException e) {
      throw InputFiles.failure(out, e);
    }
  }

  private void prepare(boolean resume) {
    requireFolder(out, resume);
    OutputFolder.make(out);
    OutputFolder.removeUnfinished(out);
  }
}
