// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.Predictions;
import dev.diffusionvl.runtime.op.Segments;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;

/**
 * One denoising forward on its own, for measurement: token ids of some blocks in, the most likely tokens and their confidence out, behind a
 * cache filled with random numbers. From {@link Session#newForwardProbe}; for the session's thread, and to be closed before the session.
 */
public final class ForwardProbe implements AutoCloseable {
  private final TextConfig config;
  private final Kernels kernels;
  private final Stream stream;
  private final int rows;
  private final DeviceScope owned;
  private final KvCache cache;
  private final RopeTable rope;
  private final Transformer transformer;
  private final Segments segments;
  private final DeviceBuffer ids;
  private final DeviceBuffer token;
  private final DeviceBuffer probability;
  private final DeviceBuffer rowMax;
  private final DeviceBuffer rowSum;

  ForwardProbe(DiffusionVl model, Stream stream, LayerOpsFactory factory, KvChoice kv, int context, int rows) {
    int block = model.config().blockSize();
    if (context < 0 || rows < block || rows % block != 0 || rows / block > 64) {
      throw new IllegalArgumentException("forward of %d rows behind %d: rows are 1 to 64 blocks of %d".formatted(rows, context, block));
    }
    this.config = model.config().text();
    this.kernels = model.kernels();
    this.stream = stream;
    this.rows = rows;
    Device device = model.device();
    DType dtype = model.dtype();
    int slots = context + rows;
    try (DeviceScope scope = new DeviceScope(device)) {
      cache = scope.own(new KvCache(device, dtype, kv, config, slots));
      rope = scope.own(RopeTable.text(device, stream, context + block, config.headDim(), config.ropeTheta()));
      transformer = scope.own(new Transformer(dtype, config, model.text(), kernels, stream, factory, rows, block,
          Math.max(2, rows / block), rows / block, context + block));
      segments = scope.own(new Segments(device, rows / block));
      ids = scope.allocate("ids", DType.I32, rows);
      token = scope.allocate("token", DType.I32, rows);
      probability = scope.allocate("confidence", DType.F32, rows);
      rowMax = scope.allocate("logit maximum", DType.F32, rows);
      rowSum = scope.allocate("softmax denominator", DType.F32, rows);
      for (int i = 0; i < config.layers(); i++) {
        fill(cache.layer(i), i);
      }
      int[] tokens = new int[rows];
      for (int i = 0; i < rows; i++) {
        tokens[i] = i % 2 == 0 ? model.config().maskTokenId() : i * 7919 % config.vocabSize();
      }
      ids.set(stream, tokens);
      // Variants of one block, as self-speculation has them: each sees the context and itself.
      for (int i = 0; i < rows / block; i++) {
        segments.add(i * block, block, context, context + i * block, 0, context, Segments.Own.SELF);
      }
      segments.upload(stream);
      owned = scope.keep();
    }
  }

  /** With random numbers of about 1, or with random codes whose numbers are. */
  private void fill(KeyValues kv, int layer) {
    if (!kv.coded()) {
      kernels.fillNormal.launch(stream, kv.keys(), 0, 1, 2L * layer);
      kernels.fillNormal.launch(stream, kv.values(), 0, 1, 2L * layer + 1);
      return;
    }
    byte[] codes = new byte[Math.toIntExact(kv.keys().elements())];
    new Random(layer).nextBytes(codes);
    for (int i = 0; i < codes.length; i++) {
      codes[i] &= (byte) 0xbf; // the exponent's high bit is 0: numbers are below 2
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocateFrom(ValueLayout.JAVA_BYTE, codes);
      stream.upload(host, kv.keys());
      stream.upload(host, kv.values());
    }
    kernels.fillNormal.launch(stream, kv.scales().keys(), 1, 0, 0);
    kernels.fillNormal.launch(stream, kv.scales().values(), 1, 0, 0);
  }

  /** Queues the forward; allocates nothing, waits for nothing, may be captured. */
  public void run() {
    transformer.embed(ids, null, null, 0, rows);
    transformer.forward(Transformer.PassParts.scored(segments), cache, rope);
    transformer.predict(0, rows, -1, null, new Predictions(token, probability, rowMax, rowSum));
  }

  /** Confidence of each row after the last forward, for a check that it computed something; waits. */
  public float[] confidence() {
    return probability.getFloats(stream);
  }

  /** The session's stream. */
  public Stream stream() {
    return stream;
  }

  @Override
  public void close() {
    owned.close();
  }
}
