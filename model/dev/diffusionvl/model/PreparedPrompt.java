// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ChatPrompt;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import java.util.Arrays;
import java.util.List;

/**
 * A request as far as the host alone can bring it: token ids, sizes, and images as the tower takes them.
 *
 * @param rules of its decoding
 * @param images resized and cut
 * @param key what it is made from; null where nobody keeps prompts
 * @param restriction of the answer by its constraint; null: none
 */
record PreparedPrompt(GenerationOptions options, DecodingRules rules, PromptPlan plan, List<ImageEncoder.Input> images, PromptKey key,
    Restriction restriction) {
  /**
   * @throws PromptLimitException naming the length and the limit
   * @throws dev.diffusionvl.loader.BadInputException if the request does not make a prompt, or an image has an impossible shape
   */
  static PreparedPrompt of(DiffusionVl model, ImageEncoder encoder, Request request, GenerationOptions options, boolean keyed) {
    ModelConfig config = model.config();
    List<ImageEncoder.Input> images = encoder.prepare(request.images());
    int[] imageRows = images.stream().mapToInt(ImageEncoder.Input::rows).toArray();
    DecodingRules rules = DecodingRules.of(options.decoding(), config);
    PromptPlan plan = PromptPlan.of(config, model.tokenizer(), request, options, rules, imageRows);
    PreparedPrompt prompt = new PreparedPrompt(options, rules, plan, images, null, null);
    PromptKey key = keyed && !options.compat() ? PromptKey.of(prompt.ids(), imageRows, request.images()) : null; // compat cuts prompts
    Restriction restriction = options.constraint() == null ? null : Restriction.of(model, options.constraint());
    return new PreparedPrompt(options, rules, plan, images, key, restriction);
  }

  Extent extent() {
    return plan.extent();
  }

  /** Drafts that its passes may carry. */
  int drafts(int slots) {
    return Sequence.drafts(options, extent(), slots);
  }

  /** Rows of the cache that it needs. */
  int cacheRows(int slots) {
    return extent().cacheRows(drafts(slots));
  }

  /** Token ids of the prompt's rows; −1 for rows of images. */
  int[] ids() {
    int[] ids = new int[plan.fullLength()];
    int row = 0;
    int image = 0;
    for (int token : plan.tokens()) {
      int rows = token == ChatPrompt.IMAGE ? images.get(image++).rows() : 1;
      Arrays.fill(ids, row, row + rows, token == ChatPrompt.IMAGE ? -1 : token);
      row += rows;
    }
    return ids;
  }

  /** Of the prompt's rows and those that follow, {@code rows} in all, for a model whose positions are three numbers. */
  MropePositions positions(int rows) {
    return MropePositions.of(plan.tokens(), images, rows);
  }

  /**
   * Fills the prompt's embeddings: rows of the table for text, the vision tower's rows for images; waits for them.
   *
   * @param known where images that were encoded before may be found
   * @param target [prompt rows or more, H]
   */
  void embed(DiffusionVl model, Stream stream, GenerationEvents events, PrefixCache known, DeviceBuffer target) {
    int hidden = model.config().text().hiddenSize();
    int row = 0;
    int image = 0;
    for (int token : plan.tokens()) {
      if (token == ChatPrompt.IMAGE) {
        ImageEncoder.Input input = images.get(image++);
        DeviceBuffer rows = target.slice((long) row * hidden, input.rows(), hidden);
        if (!events.cancelled()) {
          if (key == null || !known.restoreImage(key.images().get(image - 1), rows)) {
            input.encode(rows);
          }
          events.imageEncoded(image, images.size());
        }
        row += input.rows();
      } else {
        row++;
      }
    }
    int length = plan.fullLength();
    try (DeviceBuffer index = stream.device().allocate("prompt ids", DType.I32, Math.max(1, length))) {
      index.set(stream, ids());
      model.kernels().gatherRows.launch(stream, model.text().embedding(), index, null, target, length, hidden,
          model.config().text().vocabSize()); // image rows have index -1 and stay as the tower wrote them
      stream.synchronize();
    }
  }
}
