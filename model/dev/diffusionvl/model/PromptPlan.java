// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ChatPrompt;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.Tokenizer;
import java.util.Arrays;

/**
 * A request's prompt as far as the host knows it: within the model's limits, and nothing of it on a device yet.
 *
 * @param tokens ids, with {@link ChatPrompt#IMAGE} for each image
 * @param imageTokens embeddings that come from images
 * @param fullLength embeddings of the whole prompt
 * @param length embeddings that are used: all of them, but for a prompt that compat cuts
 * @param extent blocks of prompt and answer
 */
record PromptPlan(int[] tokens, int imageTokens, int fullLength, int length, Extent extent) {
  /**
   * @param rules of the decoding
   * @param imageRows embeddings of each image
   * @throws PromptLimitException naming the length and the limit
   * @throws BadInputException if the request does not make a prompt
   */
  static PromptPlan of(ModelConfig config, Tokenizer tokenizer, Request request, GenerationOptions options, DecodingRules rules,
      int[] imageRows) {
    int[] tokens = ChatPrompt.tokens(tokenizer, request.form(), request.system(), request.turns(), imageRows.length);
    for (int token : tokens) {
      if (token >= config.text().vocabSize()) {
        throw new BadInputException("prompt: token id " + token + " is outside the model's vocabulary of " + config.text().vocabSize());
      }
    }
    int full = length(tokens, imageRows);
    int length = checkedLength(config, full, options);
    return new PromptPlan(tokens, Arrays.stream(imageRows).sum(), full, length, rules.extent(length, options.genLength()));
  }

  /** Embeddings of a prompt: one for each token, but those of an image in the place of its token. */
  static int length(int[] tokens, int[] imageRows) {
    return tokens.length - imageRows.length + Arrays.stream(imageRows).sum();
  }

  private static int checkedLength(ModelConfig config, int length, GenerationOptions options) {
    int promptLimit = config.tokenizerModelMaxLength();
    if (options.compat()) {
      return Math.min(length, promptLimit);
    }
    if (length > promptLimit) {
      throw new PromptLimitException("the prompt has %d tokens, the model takes %d (tokenizer_model_max_length)".formatted(length,
          promptLimit));
    }
    int limit = config.text().maxPositionEmbeddings();
    if (length + (long) options.genLength() > limit) {
      throw new PromptLimitException("prompt (%d tokens) and gen-length (%d) are %d tokens, the model takes %d (max_position_embeddings)"
          .formatted(length, options.genLength(), length + (long) options.genLength(), limit));
    }
    return length;
  }
}
