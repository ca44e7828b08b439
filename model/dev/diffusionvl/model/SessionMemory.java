// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.op.AttentionWorkspace;
import dev.diffusionvl.runtime.op.SampleWorkspace;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;

/**
 * The device memory that a session takes beside the model for requests that it is given one after another, known before anything is loaded.
 * Tables of some kilobytes are left out. Immutable.
 */
public final class SessionMemory {
  private final ModelConfig config;
  private final DType dtype;
  private final DecodeMemory.Size size;
  private final long prompt;
  private final long vision;

  private SessionMemory(ModelConfig config, DType dtype, DecodeMemory.Size size, long prompt, long vision) {
    this.config = config;
    this.dtype = dtype;
    this.size = size;
    this.prompt = prompt;
    this.vision = vision;
  }

  /**
   * Of one request, which is checked as {@link Session#generate} does it.
   *
   * @throws PromptLimitException when prompt or answer exceed the model's limits
   * @throws dev.diffusionvl.loader.BadInputException when the request makes no prompt or an image has an impossible shape
   */
  public static SessionMemory of(ModelFiles files, DType dtype, Request request, GenerationOptions options) {
    ModelConfig config = files.config();
    PromptPlan plan = PromptPlan.of(config, files.tokenizer(), request, options, DecodingRules.of(options.decoding(), config),
        VisionTower.imageRows(config, request.images()));
    DecodeMemory.Size size = DecodeMemory.Size.of(Batch.Limits.ALONE, config.text().maxPositionEmbeddings(), plan.extent(), options);
    long prompt = (long) plan.fullLength() * config.text().hiddenSize() * dtype.bytes();
    return new SessionMemory(config, dtype, size, prompt, VisionTower.bytes(config, dtype, request.images()));
  }

  /** Of this request and another with blocks of the same size, for the same model. */
  public SessionMemory with(SessionMemory other) {
    return new SessionMemory(config, dtype, size.with(other.size), Math.max(prompt, other.prompt), Math.max(vision, other.vision));
  }

  /** Bytes. @param device that the session will run on; null: a GPU */
  public long bytes(Device device) {
    TextConfig text = config.text();
    DecodeMemory.Size rounded = size.rounded();
    boolean emulated = device != null && device.emulated();
    boolean own = FusedLayers.support(text) && GemmChoice.AUTO.on(emulated) != GemmChoice.CUBLAS;
    long rope = 2L * rounded.positions() * (text.headDim() / 2) * DType.F32.bytes();
    long workspaces = Gemm.workspaceBytes(device) + SampleWorkspace.bytes(device, rounded.blockRows() * rounded.scored())
        + (own ? SkinnyWorkspace.bytes(SkinnyWorkspace.MAX_ROWS) : 0)
        + (Transformer.sharesKeys(dtype, rounded.blockRows())
            ? AttentionWorkspace.bytes(text.heads(), text.kvHeads(), text.headDim(), rounded.written(), rounded.blockRows(), rounded.keys())
            : 0);
    try (Activations activations = new Activations(null, dtype, text, rounded.passRows(), rounded.blockRows() * rounded.scored())) {
      return activations.bytes() + MemoryNeed.cache(text, dtype, KvChoice.AUTO, rounded.cacheRows()) + rope + workspaces + prompt + vision;
    }
  }
}
