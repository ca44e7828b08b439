// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.model.BlockPreview;
import dev.diffusionvl.model.GenerationResult;
import java.io.PrintStream;
import java.util.Locale;

/** What is shown beside an answer to one who watches: the block being denoised, and the time at the end. */
final class Terminal {
  /** The script dvl found a terminal at stderr. */
  static final boolean AT_STDERR = Boolean.getBoolean("dvl.terminal");
  /** The script dvl found one at stdout too. */
  static final boolean AT_STDOUT = Boolean.getBoolean("dvl.terminal.stdout");

  private static final String SAVE = "\0337";
  private static final String RESTORE = "\0338";
  private static final String ERASE_BELOW = "\033[0J";
  private static final String FAINT = "\033[2m";
  private static final String PLAIN = "\033[0m";
  private static final String MASK = "\u2591";

  private Terminal() {}

  /** Shows a block behind the text that is final, where the final text will overwrite it. */
  static void draft(PrintStream out, BlockPreview preview) {
    out.print(SAVE + ERASE_BELOW + FAINT + preview.text(MASK).replaceAll("\\p{Cntrl}", " ") + PLAIN + RESTORE);
    out.flush();
  }

  /** Takes the block away before final text is printed. */
  static void clearDraft(PrintStream out) {
    out.print(ERASE_BELOW);
  }

  /** One line: how long the answer took. */
  static String timing(GenerationResult result) {
    GenerationResult.Timings time = result.timings();
    return String.format(Locale.ROOT,
        "dvl: %d tokens in %.2f s (%.1f per second): images %.2f s, prompt %.2f s, answer %.2f s; loading took %.2f s",
        result.generatedTokens(), time.answer() / 1e3, result.tokensPerSecond(), time.vision() / 1e3,
        time.prefill() / 1e3, time.decode() / 1e3, time.load() / 1e3);
  }
}
