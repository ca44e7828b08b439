// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import java.time.Duration;

/**
 * How an {@link Engine} works. With {@link GemmChoice#OWN}, and with any choice in f32, none of it but {@code kv} changes a
 * token.
 *
 * @param slots sequences that are decoded at the same time, 1 to {@value #MAX_SLOTS}
 * @param queue requests that may wait for a slot; one more is refused
 * @param kvTokens rows of the memory for keys and values, shared by all sequences; a request needs prompt and answer, rounded up to whole
 *     blocks, and is refused if that is more than all of it
 * @param prefillRows most rows of prompts that a pass carries
 * @param prefixCacheBytes device memory for what is kept of prompts that were answered; 0: nothing is kept
 * @param gemm which kernels multiply matrices
 * @param overlap see {@link DiffusionVl#newSession(GemmChoice, boolean)}
 * @param kv how keys and values are kept, those of kept prompts too; the one option here that may change tokens
 * @param execution graphs, stores and drafts, for all requests: that of their own options is not looked at
 */
public record EngineOptions(int slots, int queue, int kvTokens, int prefillRows, long prefixCacheBytes, GemmChoice gemm, boolean overlap,
    KvChoice kv, Execution execution) {
  public static final int MAX_SLOTS = 64;

  public static final EngineOptions DEFAULTS = new EngineOptions(32, 256, 65536, 512, 256L << 20, GemmChoice.AUTO, true,
      KvChoice.AUTO, Execution.DEFAULTS);

  public EngineOptions {
    Ranges.require(slots >= 1 && slots <= MAX_SLOTS, "slots", slots, "1 to " + MAX_SLOTS);
    Ranges.require(queue >= 0, "queue", queue, "0 or more");
    Ranges.require(kvTokens >= 1, "kv-tokens", kvTokens, "1 or more");
    Ranges.require(prefillRows >= 1, "prefill-rows", prefillRows, "1 or more");
    Ranges.require(prefixCacheBytes >= 0, "prefix-cache-bytes", prefixCacheBytes, "0 or more");
    Ranges.require(gemm != null, "gemm", gemm, "not null");
    Ranges.require(kv != null, "kv", kv, "not null");
    Ranges.require(execution != null, "execution", execution, "not null");
  }

  public EngineOptions withSlots(int value) {
    return new EngineOptions(value, queue, kvTokens, prefillRows, prefixCacheBytes, gemm, overlap, kv, execution);
  }

  public EngineOptions withQueue(int value) {
    return new EngineOptions(slots, value, kvTokens, prefillRows, prefixCacheBytes, gemm, overlap, kv, execution);
  }

  public EngineOptions withKvTokens(int value) {
    return new EngineOptions(slots, queue, value, prefillRows, prefixCacheBytes, gemm, overlap, kv, execution);
  }

  public EngineOptions withPrefillRows(int value) {
    return new EngineOptions(slots, queue, kvTokens, value, prefixCacheBytes, gemm, overlap, kv, execution);
  }

  public EngineOptions withPrefixCacheBytes(long value) {
    return new EngineOptions(slots, queue, kvTokens, prefillRows, value, gemm, overlap, kv, execution);
  }

  public EngineOptions withGemm(GemmChoice value) {
    return new EngineOptions(slots, queue, kvTokens, prefillRows, prefixCacheBytes, value, overlap, kv, execution);
  }

  public EngineOptions withOverlap(boolean value) {
    return new EngineOptions(slots, queue, kvTokens, prefillRows, prefixCacheBytes, gemm, value, kv, execution);
  }

  public EngineOptions withKv(KvChoice value) {
    return new EngineOptions(slots, queue, kvTokens, prefillRows, prefixCacheBytes, gemm, overlap, value, execution);
  }

  public EngineOptions withExecution(Execution value) {
    return new EngineOptions(slots, queue, kvTokens, prefillRows, prefixCacheBytes, gemm, overlap, kv, value);
  }

  /**
   * When a request is to be served.
   *
   * @param timeout from its submission to its end, or null: no limit
   * @param priority higher goes first among those that wait; equal ones go in order of submission
   */
  public record Service(Duration timeout, int priority) {
    public static final Service DEFAULTS = new Service(null, 0);

    public Service {
      Ranges.require(timeout == null || timeout.isPositive(), "timeout", timeout, "above 0");
    }
  }
}
