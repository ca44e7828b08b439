// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.SigLipConfig;
import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.model.GenerationOptions.Remasking;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What decodings ask of the passes, on the host alone: a prompt of 10 rows, an answer of 6. */
class DecodingRulesTest {
  private static final TextConfig TEXT = new TextConfig(8, 1, 1, 1, 8, 8, 100, 64, 1e-6, 1e4, true);

  private static ModelConfig config(SigLipConfig tower, int mask, boolean diffusion) {
    return new ModelConfig("", TEXT, null, mask, List.of(3), 4, 0, 0, 64, new float[3], new float[3], tower, List.of(), diffusion);
  }

  private static int[] quota(Decoding decoding, ModelConfig config) {
    DecodingRules rules = DecodingRules.of(decoding, config);
    GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(6).withDecoding(decoding);
    Extent extent = rules.extent(10, 6);
    GenerationEvents events = new GenerationEvents(GenerationListener.NONE, null, 10, 6, 9, id -> id == 3);
    var rule = rules.sequence(options, extent, new int[10], 0, null, events).rule();
    return new int[] {extent.blockRows(), rule.positions(), rule.steps()};
  }

  private static void check(int rows, int positions, Decoding decoding, ModelConfig config) {
    int[] found = quota(decoding, config);
    assertEquals(rows, found[0], "rows of a block");
    assertEquals(positions, found[1], "positions that the steps share");
    assertEquals(5, found[2], "steps");
  }

  @Test
  void bothFilesSchedulesOfFullDiffusion() {
    Decoding full = new Decoding.Full(0, 5, Remasking.LOW_CONFIDENCE_STATIC, 0);
    check(16, 16, full, config(null, 9, true));
    check(16, 40, full.withBlockSize(40), config(null, 9, true));
    check(16, 6, full, config(SigLipConfig.SO400M, 9, true));
    check(16, 6, full.withBlockSize(40), config(SigLipConfig.SO400M, 9, true));
    assertThrows(PromptLimitException.class, () -> quota(full.withBlockSize(15), config(null, 9, true)));
  }

  @Test
  void blocks() {
    Decoding block = Decoding.Block.DEFAULTS.withSteps(5);
    check(4, 4, block, config(null, 9, true));
    check(7, 7, block.withBlockSize(7), config(SigLipConfig.SO400M, 9, true));
    check(16, 20, block.withBlockSize(20), config(null, 9, true)); // one block, as the reference has it
  }

  @Test
  void masksAreNeeded() {
    ModelConfig base = config(null, ModelConfig.NO_MASK, false);
    assertThrows(BadInputException.class, () -> DecodingRules.of(Decoding.Block.DEFAULTS, base));
    assertEquals(new Decoding.Autoregressive(), Decoding.of(base));
    assertEquals(Decoding.Block.DEFAULTS, Decoding.of(config(null, 9, true)));
  }
}
