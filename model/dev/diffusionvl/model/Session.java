// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ChatPrompt;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFamily;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Generates answers with a loaded model. Holds a stream, a cuBLAS handle and, from the first request on, the memory that decoding works on,
 * which grows with the longest request. For one thread at a time, not always the same one; a second thread that calls meanwhile gets an
 * IllegalStateException. Several sessions of a model may generate at the same time, and each gives the tokens it would give alone.
 *
 * {@snippet class=dev.diffusionvl.model.ApiExamplesTest region=threads}
 */
public final class Session implements AutoCloseable {
  private final DiffusionVl model;
  private final Device device;
  private final ModelConfig config;
  private final DeviceScope owned;
  private final Stream stream;
  private final LayerOpsFactory factory;
  private final ImageEncoder encoder;
  private final AtomicBoolean busy = new AtomicBoolean();
  private DecodeMemory memory; // null before the first request
  private volatile boolean closed;

  Session(DiffusionVl model, GemmChoice choice, boolean overlap) {
    this.model = model;
    this.device = model.device();
    this.config = model.config();
    try (DeviceScope scope = new DeviceScope(device)) {
      stream = scope.newStream();
      Gemm gemm = scope.own(new Gemm(stream));
      factory = scope.own(new LayerOpsFactory(config.text(), stream, gemm, choice, overlap));
      encoder = scope.own(model.vision().newEncoder(model.kernels(), stream, gemm));
      owned = scope.keep();
    }
  }

  /**
   * A denoising forward to be measured on this session's stream.
   *
   * @param context cached rows that it sees
   * @param rows of the pass, a multiple of the block size
   */
  public ForwardProbe newForwardProbe(int context, int rows) {
    return new ForwardProbe(model, stream, factory, context, rows);
  }

  /** Answers a request. */
  public GenerationResult generate(Request request, GenerationOptions options) {
    return generate(request, options, GenerationListener.NONE);
  }

  /**
   * Answers a request and reports progress to the listener.
   *
   * @throws PromptLimitException when prompt or answer exceed the checkpoint's limits (not with compat, which cuts the prompt)
   * @throws NumericalException when the model produces NaN
   * @throws dev.diffusionvl.loader.BadInputException when placeholders and images do not match, turns do not alternate, or an image has
   *     an impossible shape
   * @throws dev.diffusionvl.runtime.OutOfDeviceMemoryException when the request does not fit beside the model
   * @throws IllegalStateException when the session, its model or its device is closed, or the session is generating in another thread
   */
  public GenerationResult generate(Request request, GenerationOptions options, GenerationListener listener) {
    if (!busy.compareAndSet(false, true)) {
      throw new IllegalStateException("the session is closed or generating already; open one per thread");
    }
    try {
      model.enter();
      try {
        return answer(request, options, listener);
      } finally {
        model.leave();
      }
    } finally {
      busy.set(false);
    }
  }

  private GenerationResult answer(Request request, GenerationOptions options, GenerationListener listener) {
    long start = System.nanoTime();
    List<ImageEncoder.Input> images = encoder.prepare(request.images());
    int[] imageRows = images.stream().mapToInt(ImageEncoder.Input::rows).toArray();
    PromptPlan plan = PromptPlan.of(config, model.tokenizer(), request, options, imageRows);
    int embeddingRows = Math.max(1, plan.fullLength());
    try (DeviceBuffer embeddings = device.allocate("prompt embeddings", model.dtype(), embeddingRows, config.text().hiddenSize())) {
      GenerationEvents events = new GenerationEvents(listener, model.tokenizer().newStreamDecoder(), plan.length(), options.genLength(),
          config.maskTokenId(), config.eosTokenId());
      int[] ids = embed(plan, images, embeddings, events);
      stream.synchronize();
      double visionMillis = (System.nanoTime() - start) / 1e6;
      return decode(options, plan, events, embeddings, Arrays.copyOf(ids, plan.length()), visionMillis);
    }
  }

  /** Fills the prompt's embeddings: rows of the table for text, the vision tower's rows for images. Returns ids, −1 for image rows. */
  private int[] embed(PromptPlan plan, List<ImageEncoder.Input> images, DeviceBuffer embeddings, GenerationEvents events) {
    int hidden = config.text().hiddenSize();
    int length = plan.fullLength();
    int[] ids = new int[length];
    int row = 0;
    int image = 0;
    for (int token : plan.tokens()) {
      if (token == ChatPrompt.IMAGE) {
        ImageEncoder.Input input = images.get(image++);
        int rows = input.rows();
        if (!events.cancelled()) {
          input.encode(embeddings.slice((long) row * hidden, rows, hidden));
          events.imageEncoded(image, images.size());
        }
        Arrays.fill(ids, row, row + rows, -1);
        row += rows;
      } else {
        ids[row++] = token;
      }
    }
    try (DeviceBuffer index = device.allocate("prompt ids", DType.I32, Math.max(1, length))) {
      index.set(stream, ids);
      model.kernels().gatherRows.launch(stream, model.text().embedding(), index, null, embeddings, length, hidden,
          config.text().vocabSize()); // image rows have index -1 and stay as the tower wrote them
      stream.synchronize();
    }
    return ids;
  }

  private GenerationResult decode(GenerationOptions options, PromptPlan plan, GenerationEvents events, DeviceBuffer embeddings,
      int[] ids, double visionMillis) {
    Extent extent = plan.extent();
    long start = System.nanoTime();
    // In the full-diffusion ablation the two reference files spread different numbers over the steps (docs/model.md,
    // "Facts about the reference", full diffusion).
    boolean qwen = config.family() == ModelFamily.QWEN_SIGLIP;
    int[] quota = TransferSchedule.of(extent.full() && qwen ? options.genLength() : extent.blockSize(), options.steps());
    int speculate = BlockDiffusion.drafts(options, extent);
    DecodeMemory.Size size = DecodeMemory.Size.of(extent, quota.length, speculate);
    DecodeMemory kept = memory;
    memory = null; // should memory run out
    memory = DecodeMemory.serving(size, kept, model, stream, factory);
    Decision decision = Decision.of(options, config.maskTokenId(), qwen);
    ForwardPasses passes = new ForwardPasses(stream, model.kernels(), model.text(), memory, decision, quota,
        BlockDiffusion.drawsWithGivenNumbers(options),
        speculate, extent.blockSize(), options.execution().graphs(), embeddings);
    BlockDiffusion diffusion = new BlockDiffusion(options, extent, ids, config.maskTokenId(), config.eosTokenId(), quota, stream,
        memory.state(), passes);
    double setup = (System.nanoTime() - start) / 1e6;
    diffusion.run(events);
    double decode = (System.nanoTime() - start) / 1e6 - setup - diffusion.prefillMillis();
    int[] answer = diffusion.answer();
    boolean eos = Arrays.stream(answer).anyMatch(id -> id == config.eosTokenId());
    String reason = eos ? "eos" : events.wasCancelled() ? "cancelled" : "length";
    var timings = new GenerationResult.Timings(model.loadMillis(), visionMillis, setup + diffusion.prefillMillis(), decode);
    return new GenerationResult(events.finish(), answer, reason, ids.length, plan.imageTokens(), events.generatedTokens(),
        diffusion.counts(), timings);
  }

  /**
   * Releases the stream, the cuBLAS handle and the image encoder. Idempotent.
   *
   * @throws IllegalStateException while the session generates; to end that see {@link GenerationListener#isCancelled}
   */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    if (!busy.compareAndSet(false, true)) {
      throw new IllegalStateException("the session is generating: close it after that");
    }
    closed = true; // busy stays set, so that no later call gets in
    if (memory != null) {
      memory.close();
    }
    owned.close();
  }
}
