// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.eval.ExactMatch;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.train.HeldOut;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** Options of a training run that say what it asks meanwhile. */
final class HeldOutOptions {
  @Option(names = "--eval", paramLabel = "FILE", description = "held-out conversations whose last answers are asked for during the run, "
      + "and counted where they are right word for word; image names are relative to --images, else to the file's folder")
  private Path eval;

  @Option(names = "--eval-every", paramLabel = "N", description = "steps between two times of asking (default: a tenth of all steps)")
  private Integer evalEvery;

  @Option(names = "--eval-limit", paramLabel = "N", defaultValue = "0", description = "questions to ask, from the first on (0: all)")
  private int evalLimit;

  /** What is wrong whatever else is asked for. */
  void requireRanges() {
    if (evalEvery != null && evalEvery < 1 || evalLimit < 0) {
      throw new Dvl.UsageException("--eval-every is 1 or more, --eval-limit 0 or more");
    }
  }

  boolean given() {
    return eval != null;
  }

  /**
   * The questions, each of which can be asked; null if none are.
   *
   * @param images folder that the user named, or null
   */
  ExactMatch questions(ModelFiles files, DType dtype, Path images) {
    return eval == null ? null : ExactMatch.read(files, eval, images, evalLimit, GenerationOptions.DEFAULTS)
        .briefly(files.tokenizer(), files.config().blockSize()).checked(files, dtype);
  }

  /** @param questions null: none @param last step of the run */
  HeldOut heldOut(ExactMatch questions, int last) {
    return questions == null ? HeldOut.NONE : new HeldOut(evalEvery != null ? evalEvery : Math.max(1, last / 10), questions);
  }
}
