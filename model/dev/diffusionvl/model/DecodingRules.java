// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFamily;
import java.util.Arrays;

/** What the passes and the schedule of a decoding are for a model. This is the one place that tells decodings apart. */
interface DecodingRules {
  /** @throws BadInputException if the model cannot be decoded so */
  static DecodingRules of(Decoding decoding, ModelConfig config) {
    return switch (decoding) {
      case Decoding.Block b -> new Diffusion(config, b.blockSize(config), false,
          new Schedule(0, b.steps(), b.remasking(), b.confidenceThreshold()));
      case Decoding.Full f -> new Diffusion(config, f.span(), true, new Schedule(0, f.steps(), f.remasking(), f.confidenceThreshold()));
      case Decoding.Autoregressive _ -> new TokenByToken(config);
    };
  }

  /** @throws PromptLimitException if prompt and answer do not fit the decoding */
  Extent extent(int prompt, int genLength);

  /**
   * A generation that begins.
   *
   * @param promptIds per row of the prompt its token id, or −1 for an image row
   * @param drafts most drafts that a pass carries
   * @param restriction of the answer by its constraint; null: none
   */
  Sequence sequence(GenerationOptions options, Extent extent, int[] promptIds, int drafts, Restriction restriction,
      GenerationEvents events);

  /** The ids of an answer that was never begun. */
  int[] nothing(int genLength);

  /**
   * Masks are filled, block by block or in one block.
   *
   * @param size B; of one block the positions that the schedule may count, 0: those of prompt and answer
   * @param whole prompt and answer are one block
   * @param steps how they commit, the positions left open
   */
  record Diffusion(ModelConfig config, int size, boolean whole, Schedule steps) implements DecodingRules {
    public Diffusion {
      if (config.maskTokenId() == ModelConfig.NO_MASK) {
        throw new BadInputException("the model has no mask token: it is no diffusion model, and can be decoded autoregressively alone");
      }
    }

    @Override
    public Extent extent(int prompt, int genLength) {
      int rows = Math.addExact(prompt, genLength);
      if (whole && size > 0 && size < rows) {
        throw new PromptLimitException("full diffusion: block-size is %d, prompt (%d tokens) and gen-length (%d) are more".formatted(size,
            prompt, genLength));
      }
      return Extent.of(prompt, genLength, whole && size == 0 ? rows : size);
    }

    @Override
    public Sequence sequence(GenerationOptions options, Extent extent, int[] promptIds, int drafts, Restriction restriction,
        GenerationEvents events) {
      // Over one block the two reference files spread different numbers (docs/model.md, "Facts about the reference", full diffusion).
      boolean answerAlone = extent.full() && config.family() == ModelFamily.QWEN_SIGLIP;
      Schedule schedule = new Schedule(answerAlone ? options.genLength() : extent.blockSize(), steps.steps(), steps.remasking(),
          steps.threshold());
      if (restriction != null && restriction.compares(options.genLength())) {
        return new ChoiceSequence(options, extent, promptIds, config.maskTokenId(), drafts, restriction.choices(), events);
      }
      return new BlockSequence(options, extent, schedule, promptIds, config.maskTokenId(), config.eosTokenId(),
          restriction == null ? drafts : 0, restriction == null ? null : new Guide(restriction.automaton(), schedule), events);
    }

    @Override
    public int[] nothing(int genLength) {
      int[] ids = new int[genLength];
      Arrays.fill(ids, config.maskTokenId());
      return ids;
    }
  }

  /** The rows of the prompt, then one token after the other: blocks of one row, of which none is masked. */
  record TokenByToken(ModelConfig config) implements DecodingRules {
    @Override
    public Extent extent(int prompt, int genLength) {
      int rows = Math.addExact(prompt, genLength);
      return new Extent(prompt, 1, rows, rows);
    }

    @Override
    public Sequence sequence(GenerationOptions options, Extent extent, int[] promptIds, int drafts, Restriction restriction,
        GenerationEvents events) {
      return new AutoregressiveSequence(options, extent, promptIds, restriction == null ? drafts : 0,
          id -> options.decoding().ends(config, id), restriction == null ? null : restriction.automaton(), events);
    }

    @Override
    public int[] nothing(int genLength) {
      return new int[0];
    }
  }
}
