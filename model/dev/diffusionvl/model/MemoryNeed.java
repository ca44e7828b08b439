// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import java.util.Locale;

/**
 * The device memory that a model takes, known before anything is loaded. Activations come on top: for a prompt of a thousand
 * tokens a few hundred megabytes with the sizes of the released models.
 *
 * @param weights bytes, for as long as the model is open
 * @param cache bytes for the keys and values of one generation, while its session is open
 * @param scratch bytes for one matrix of 8 or 4 bits as numbers, while a session is open; 0 where all weights are numbers
 */
public record MemoryNeed(long weights, long cache, long scratch) {
  /**
   * Of a model and a generation of one session.
   *
   * @param tokens length of prompt and answer together, rounded up to whole blocks, and of drafts; 0: of the model without a session
   */
  public static MemoryNeed of(ModelFiles files, DType dtype, long tokens) {
    return of(files, dtype, KvChoice.AUTO, tokens);
  }

  /** The same with a choice of how keys and values are kept. */
  public static MemoryNeed of(ModelFiles files, DType dtype, KvChoice kv, long tokens) {
    long cache = cache(files.config().text(), dtype, kv, tokens);
    if (!files.checkpoint().quantized()) {
      return new MemoryNeed(ModelFiles.parameters(files.config()) * dtype.bytes(), cache, 0);
    }
    ModelOutline outline = ModelOutline.of(files, dtype);
    return new MemoryNeed(outline.bytes(), cache, tokens > 0 ? outline.scratch(dtype) : 0);
  }

  static long cache(TextConfig text, DType activations, KvChoice kv, long tokens) {
    return 2L * text.layers() * text.kvHeads() * kv.rowBytes(text, activations) * tokens;
  }

  /**
   * Of a model and one request, which is checked as {@link Session#generate} does it.
   *
   * @throws PromptLimitException when prompt or answer exceed the model's limits
   * @throws dev.diffusionvl.loader.BadInputException when the request makes no prompt or an image has an impossible shape
   */
  public static MemoryNeed of(ModelFiles files, DType dtype, Request request, GenerationOptions options) {
    return of(files, dtype, KvChoice.AUTO, request, options);
  }

  /** The same with a choice of how keys and values are kept. */
  public static MemoryNeed of(ModelFiles files, DType dtype, KvChoice kv, Request request, GenerationOptions options) {
    int[] imageRows = VisionTower.imageRows(files.config(), request.images());
    PromptPlan plan = PromptPlan.of(files.config(), files.tokenizer(), request, options,
        DecodingRules.of(options.decoding(), files.config()), imageRows);
    int drafts = Sequence.drafts(options, plan.extent(), 1) * plan.extent().blockRows();
    return of(files, dtype, kv, (long) plan.extent().total() + drafts);
  }

  /** Bytes in all. */
  public long total() {
    return weights + cache + scratch;
  }

  /**
   * Fails when the device has less than this free.
   *
   * @throws dev.diffusionvl.runtime.OutOfDeviceMemoryException naming need, free and total
   */
  public void requireFree(Device device) {
    device.requireFree(toString(), total());
  }

  /** For people: {@code weights of 16.6 GB and a cache of 9.4 MB}. */
  @Override
  public String toString() {
    String sessions = cache == 0 ? "" : scratch == 0 ? " and a cache of " + decimal(cache)
        : ", a cache of " + decimal(cache) + " and " + decimal(scratch) + " for a decoded matrix";
    return "weights of " + decimal(weights) + sessions;
  }

  private static String decimal(long bytes) {
    return bytes >= 1e9 ? String.format(Locale.ROOT, "%.1f GB", bytes / 1e9) : String.format(Locale.ROOT, "%.1f MB", bytes / 1e6);
  }
}
