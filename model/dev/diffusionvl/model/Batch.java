// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFamily;
import dev.diffusionvl.model.PassPlan.Part;
import dev.diffusionvl.runtime.CudaException;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.BlockTable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;

/**
 * Sequences that are decoded together, a pass at a time: the one implementation of decoding, behind {@link Session} with one slot and
 * behind {@link Engine} with many. Sequences come and go between passes. With row-invariant products, and in f32, the tokens of a sequence
 * do not depend on its company. For one thread at a time.
 */
final class Batch implements AutoCloseable {
  /**
   * How many sequences there may be, and what they share.
   *
   * @param slots most sequences
   * @param cacheRows rows of the cache; 0: as many as the longest request so far needs, which with one slot is enough
   * @param promptRows most rows of prompts in a pass
   * @param prefixBytes that prompts are kept in, for others with the same beginning
   */
  record Limits(int slots, int cacheRows, int promptRows, long prefixBytes) {
    static final Limits ALONE = new Limits(1, 0, Integer.MAX_VALUE, 0);
  }

  /** How a sequence ended: with a result, or with a failure that concerns it alone. */
  record Outcome(GenerationResult result, RuntimeException failure) {}

  private final DiffusionVl model;
  private final ModelConfig config;
  private final Limits limits;
  private final DeviceScope owned;
  private final Stream stream;
  private final LayerOpsFactory factory;
  private final KvChoice kv;
  private final ImageEncoder encoder;
  private final PrefixCache prefixes;
  private final List<Running> running = new ArrayList<>(); // in the order of their admission
  private DecodeMemory memory; // null before the first request
  private long forwards;

  Batch(DiffusionVl model, Limits limits, GemmChoice choice, boolean overlap, KvChoice kv) {
    kv.requireFor(model.config().text(), model.dtype());
    this.model = model;
    this.config = model.config();
    this.limits = limits;
    this.kv = kv;
    Device device = model.device();
    try (DeviceScope scope = new DeviceScope(device)) {
      stream = scope.newStream();
      Gemm gemm = scope.own(new Gemm(stream));
      factory = scope.own(new LayerOpsFactory(config.text(), stream, gemm, choice, overlap));
      encoder = scope.own(model.vision().newEncoder(model.kernels(), stream, gemm));
      prefixes = scope.own(new PrefixCache(stream, model.dtype(), config.text().hiddenSize(), limits.prefixBytes()));
      owned = scope.keep();
    }
  }

  /** Brings a request as far as the host alone can; any thread may, at any time. */
  PreparedPrompt prepare(Request request, GenerationOptions options) {
    return PreparedPrompt.of(model, encoder, request, options, prefixes.keeps());
  }

  /** Sequences with the blocks of this request that pass together. */
  private int slots(PreparedPrompt prompt) {
    return Sequence.together(limits.slots(), prompt.extent().blockRows());
  }

  /** Rows of the cache that the request needs. */
  int cacheRows(PreparedPrompt prompt) {
    return prompt.cacheRows(slots(prompt));
  }

  private DecodeMemory.Size size(Extent extent, GenerationOptions options) {
    return DecodeMemory.Size.of(limits, config.text().maxPositionEmbeddings(), extent, options);
  }

  /** Makes the memory that sequences of such blocks need, so that it is known to be there. Only while none is running. */
  void reserve(Extent extent, GenerationOptions options) {
    DecodeMemory kept = memory;
    memory = null; // should memory run out
    memory = DecodeMemory.serving(size(extent, options), kept, model, stream, factory, kv);
  }

  /** Whether {@link #admit} would take the request now: a slot and room in the cache are free, and its blocks have the others' size. */
  boolean admits(PreparedPrompt prompt) {
    if (running.isEmpty()) {
      return true;
    }
    return running.size() < memory.size().slots() && memory.size().serves(size(prompt.extent(), prompt.options()))
        && memory.cache().ranges().fits(cacheRows(prompt));
  }

  /**
   * Takes a request in: memory, images, embeddings, what is known of its prompt. Its first pass is the next one.
   *
   * @param whenDone gets the outcome, once
   * @param submitted {@link System#nanoTime} at which the work on it began
   * @return rows of the prompt that were known
   * @throws dev.diffusionvl.runtime.OutOfDeviceMemoryException when it does not fit beside the model; nothing of it is left then
   */
  int admit(PreparedPrompt prompt, GenerationEvents events, long submitted, Consumer<Outcome> whenDone) {
    if (running.isEmpty()) {
      reserve(prompt.extent(), prompt.options());
    }
    int hidden = config.text().hiddenSize();
    try (DeviceScope scope = new DeviceScope(model.device())) {
      DeviceBuffer embeddings = scope.allocate("prompt embeddings", model.dtype(), Math.max(1, prompt.plan().fullLength()), hidden);
      prompt.embed(model, stream, events, prefixes, embeddings);
      Sequence sequence = newSequence(prompt, events);
      scope.keep();
      running.add(new Running(prompt, sequence, whenDone, embeddings, submitted));
    }
    Sequence sequence = running.getLast().sequence();
    place(prompt, sequence);
    if (prompt.key() == null) {
      return 0;
    }
    int known = prefixes.restore(prompt.key(), sequence.promptBlockRows(), prompt.extent().blockSize(), memory.cache(),
        sequence.cacheBegin());
    sequence.restored(known);
    return known;
  }

  private Sequence newSequence(PreparedPrompt prompt, GenerationEvents events) {
    int[] ids = Arrays.copyOf(prompt.ids(), prompt.plan().length());
    return prompt.rules().sequence(prompt.options(), prompt.extent(), ids, prompt.drafts(slots(prompt)), prompt.restriction(), events);
  }

  private boolean siglip() {
    return config.family() == ModelFamily.QWEN_SIGLIP;
  }

  private void place(PreparedPrompt prompt, Sequence sequence) {
    int slot = 0;
    while (taken(slot)) {
      slot++;
    }
    int begin = memory.cache().ranges().take(sequence.cacheRows());
    if (begin < 0) {
      throw new IllegalStateException("no room for %d rows, which was asked before".formatted(sequence.cacheRows()));
    }
    List<Integer> section = config.mropeSection();
    sequence.place(slot, begin, section.isEmpty() ? 0 : begin);
    if (!section.isEmpty()) {
      memory.rope().place(stream, begin, prompt.positions(sequence.cacheRows()), section, config.text().ropeTheta());
    }
    memory.blocks().start(slot, sequence.rule(), sequence.sampling());
    memory.blocks().upload(stream, slot);
    stream.synchronize(); // the first block is written to the same host memory
  }

  private boolean taken(int slot) {
    return running.stream().anyMatch(r -> r.sequence().slot() == slot);
  }

  int running() {
    return running.size();
  }

  /** Rows of the cache that belong to sequences. */
  int cacheRowsUsed() {
    return running.stream().mapToInt(r -> r.sequence().cacheRows()).sum();
  }

  /** Passes so far. */
  long forwards() {
    return forwards;
  }

  /**
   * One pass for all sequences, and the end of those that are done, were cancelled or failed. What is thrown concerns all of them: the
   * device has failed.
   */
  void step() {
    for (Running r : List.copyOf(running)) {
      guarded(r, () -> {
        if (r.sequence().done() || r.sequence().events().cancelled()) {
          end(r);
        }
      });
    }
    List<Part> parts = parts();
    if (parts.isEmpty()) {
      return;
    }
    long start = System.nanoTime();
    boolean graphs = parts.stream().allMatch(p -> running(p).prompt().options().execution().graphs());
    PassPlan plan = PassPlan.of(parts, memory.places(), graphs ? memory.padding() : null);
    new ForwardPasses(model, stream, memory, siglip(), graphs).run(plan, parts);
    forwards++;
    List<Part> toRead = parts.stream().filter(p -> p.sequence().queued(p)).toList();
    if (!toRead.isEmpty()) {
      memory.download(stream, toRead.stream().anyMatch(p -> p.sequence().onHost()),
          toRead.stream().anyMatch(p -> !p.sequence().onHost()));
      stream.synchronize();
    }
    for (Part part : toRead) {
      Running r = running(part);
      if (part.promptRows() > 0) {
        r.promptRead();
      }
      boolean sound = guarded(r, () -> part.sequence().read(part, memory.decided(plan, part)));
      if (sound && part.variants() > 0 && r.keeps()) {
        prefixes.keep(r.prompt().key(), r.sequence().promptBlockRows(), r.sequence().extent().blockSize(), memory.cache(),
            r.sequence().cacheBegin(), r.embeddings());
      }
    }
    writeBack(toRead);
    for (Running r : List.copyOf(running)) {
      if (r.sequence().done()) {
        guarded(r, () -> end(r));
      }
    }
  }

  /** Puts blocks that the host has decided back onto the device. */
  private void writeBack(List<Part> parts) {
    List<Sequence> decided = parts.stream().filter(p -> p.variants() > 0).map(Part::sequence)
        .filter(s -> s.restricted() && !s.causal() && !s.done()).toList();
    decided.forEach(s -> memory.blocks().upload(stream, s.slot()));
    if (!decided.isEmpty()) {
      stream.synchronize(); // the next block is written to the same host memory
    }
  }

  private Running running(Part part) {
    return running.stream().filter(r -> r.sequence() == part.sequence()).findFirst().orElseThrow();
  }

  /** What the sequences put into the next pass; blocks that begin are put into the table. */
  private List<Part> parts() {
    List<Part> parts = new ArrayList<>();
    int blockSize = memory == null ? 1 : memory.size().promptBlock();
    int chunk = Math.max(1, limits.promptRows() / blockSize) * blockSize;
    int budget = chunk;
    for (Running r : List.copyOf(running)) {
      Part part = r.sequence().part(chunk, budget);
      if (part == null) {
        continue;
      }
      double[][] numbers = new double[1][];
      if (part.variants() > 0 && !guarded(r, () -> numbers[0] = r.sequence().numbers())) {
        continue;
      }
      budget -= part.promptRows();
      if (r.sequence().begins(part)) {
        begin(r.sequence());
      }
      if (numbers[0] != null) {
        int rows = memory.blocks().rows();
        memory.uniforms().slice((long) r.sequence().slot() * rows, rows).set(stream, numbers[0]);
      }
      parts.add(part);
    }
    return parts;
  }

  private void begin(Sequence sequence) {
    BlockTable blocks = memory.blocks();
    int hidden = config.text().hiddenSize();
    int given = sequence.slot() * blocks.rows();
    int[] ids = sequence.begin(given);
    if (sequence.causal() || sequence.scores()) {
      blocks.put(sequence.slot(), ids, sequence.finished(given), sequence.denoises());
      blocks.uploadDrafts(stream, sequence.slot());
    } else {
      blocks.begin(sequence.slot(), ids, config.maskTokenId());
      blocks.upload(stream, sequence.slot());
    }
    int promptRows = sequence.promptRows();
    if (promptRows > 0) {
      stream.copy(sequence.embeddings().slice((long) sequence.blockBegin() * hidden, promptRows, hidden),
          memory.given().slice((long) given * hidden, promptRows, hidden));
    }
  }

  /** Runs what concerns one sequence; what it throws ends that one. Returns whether it threw nothing. */
  private boolean guarded(Running r, Runnable work) {
    try {
      work.run();
      return true;
    } catch (CudaException e) {
      throw e;
    } catch (RuntimeException e) {
      if (running.contains(r)) {
        leave(r, new Outcome(null, e));
      }
      return false;
    }
  }

  private void end(Running r) {
    leave(r, new Outcome(r.result(model.loadMillis()), null));
  }

  private void leave(Running r, Outcome outcome) {
    stream.synchronize(); // copies from the slot's host memory, and passes that read what is freed, have run
    drop(r);
    r.done(outcome);
  }

  private void drop(Running r) {
    running.remove(r);
    if (r.sequence().slot() >= 0) {
      memory.cache().ranges().give(r.sequence().cacheBegin(), r.sequence().cacheRows());
    }
    r.close();
  }

  /** Ends all sequences without a result. */
  void abort(RuntimeException failure) {
    for (Running r : List.copyOf(running)) {
      drop(r);
      r.done(new Outcome(null, failure));
    }
  }

  Stream stream() {
    return stream;
  }

  LayerOpsFactory factory() {
    return factory;
  }

  @Override
  public void close() {
    running.forEach(Running::close);
    running.clear();
    if (memory != null) {
      memory.close();
      memory = null;
    }
    owned.close();
  }
}
