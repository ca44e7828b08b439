// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.InputFiles;
import dev.diffusionvl.loader.OutputFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** {@code train.jsonl}: one line per step. It holds nothing that differs from run to run, so that a run that was resumed has the same. */
final class TrainLog {
  private final Path file;

  /** @param lines of an earlier run that are kept; what follows them is dropped */
  TrainLog(Path file, int lines) {
    this.file = file;
    List<String> kept = List.of();
    if (lines > 0) {
      try {
        kept = Files.readAllLines(file);
      } catch (IOException e) {
        throw InputFiles.failure(file, e);
      }
      if (kept.size() < lines) {
        throw BadInputException.of(file, "has " + kept.size() + " lines, the snapshot is behind step " + lines);
      }
      kept = kept.subList(0, lines);
    }
    OutputFile.write(file, (String.join("\n", kept) + (kept.isEmpty() ? "" : "\n")).getBytes(StandardCharsets.UTF_8));
  }

  /** @param score null where nothing was asked */
  void add(Trainer.Step step, HeldOut.Score score) {
    String asked = score == null ? "" : String.format(Locale.ROOT, ", \"eval_score\": %s, \"eval_right\": %d, \"eval_questions\": %d",
        score.part(), score.right(), score.questions());
    String line = String.format(Locale.ROOT, "{\"step\": %d, \"loss\": %s, \"grad_norm\": %s, \"lr\": %s, \"tokens\": %d%s}", step.step(),
        step.loss(), step.gradientNorm(), step.rate(), step.tokens(), asked);
    OutputFile.append(file, line);
  }
}
