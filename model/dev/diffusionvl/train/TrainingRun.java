// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.InputFiles;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.model.DiffusionVl;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
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
   * @param saveEvery steps between snapshots; 0: none
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
    prepare(resume);
    try (Trainer trainer = new Trainer(model, objective, options)) {
      trainer.reserve(largest);
      DataPosition position = DataPosition.start(options.seed());
      Optional<Path> snapshot = resume ? Snapshot.newest(out) : Optional.empty();
      if (snapshot.isPresent()) {
        Snapshot restored = Snapshot.restore(snapshot.get(), trainer, settings());
        position = restored.position();
        listener.remark("going on behind step " + restored.step());
      } else if (resume) {
        listener.remark(out + " has no snapshot: starting at the beginning");
      }
      TrainLog log = new TrainLog(out.resolve("train.jsonl"), trainer.steps());
      if (steps(trainer, position, log, listener)) {
        trainer.finish();
        TranslatedCheckpoint.write(model, files, out);
      }
    }
  }

  /** False when it was cancelled. */
  private boolean steps(Trainer trainer, DataPosition from, TrainLog log, TrainingListener listener) {
    RowStream.Options reading = new RowStream.Options(options.recordsPerStep(), Integer.MAX_VALUE);
    try (RowStream rows = data.rows(from, reading, strict ? BadRecord.Listener.STRICT : listener)) {
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
        if (saveEvery > 0 && (cancelled || last || trainer.steps() % saveEvery == 0)) {
          Snapshot.write(out, trainer, rows.position(), settings());
        }
        if (cancelled) {
          return false;
        }
      }
      return true;
    }
  }

  private void prepare(boolean resume) {
    try {
      Files.createDirectories(out);
      try (var files = Files.list(out)) {
        if (!resume && files.findAny().isPresent()) {
          throw BadInputException.of(out, "is not empty: choose another folder, or go on with --resume");
        }
      }
    } catch (IOException e) {
      throw BadInputException.of(out, "cannot be written: " + InputFiles.reason(e));
    }
  }

  /** What a resumed run must have in common with the one that it goes on with. */
  private String settings() {
    return String.format(Locale.ROOT, "%s, %s, batch %d x %d, rates %s and %s, warm-up %s, %d steps, seed %d, parts %s, %s, %s, %d records",
        objective, model.dtype(), options.batch(), options.accumulate(), options.rate(), options.visionRate(), options.warmup(),
        options.steps(), options.seed(), options.parts().stream().sorted().toList(), options.optimizer(), options.lora(), data.size());
  }
}
