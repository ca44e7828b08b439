// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.OutOfDeviceMemoryException;
import dev.diffusionvl.runtime.Stream;
import java.util.ArrayList;
import java.util.List;

/**
 * Keys, values and embeddings of prompts that were read, so that one with the same beginning is not read again: same images and same
 * leading text cost no tower and no prefill. What is kept are whole blocks of prompts, never of answers. When the budget is used up, what
 * was not used for longest goes first.
 */
final class PrefixCache implements AutoCloseable {
  private final class Entry implements AutoCloseable {
    private final PromptKey key; // of the whole prompt
    private final int blockSize; // which decides who sees whom, and so what the keys and values are
    private final int rows; // whose keys and values are here
    private final List<DeviceBuffer> keyValues; // of each kind: [layers, K and V, kv heads, rows, width]
    private final DeviceBuffer embeddings; // [prompt rows, H]
    private final DeviceScope owned;

    Entry(PromptKey key, int blockSize, int rows, KvCache cache, int hidden) {
      this.key = key;
      this.blockSize = blockSize;
      this.rows = rows;
      try (DeviceScope scope = new DeviceScope(device)) {
        keyValues = cache.allocate(scope, "keys and values of a prompt", rows);
        embeddings = scope.allocate("embeddings of a prompt", dtype, key.rows().length, hidden);
        owned = scope.keep();
      }
    }

    long bytes() {
      return keyValues.stream().mapToLong(DeviceBuffer::bytes).sum() + embeddings.bytes();
    }

    @Override
    public void close() {
      owned.close();
    }
  }

  private final Device device;
  private final Stream stream;
  private final DType dtype;
  private final int hidden;
  private final long budget;
  private final List<Entry> entries = new ArrayList<>(); // used longest ago first

  /** @param budget bytes; 0: nothing is kept */
  PrefixCache(Stream stream, DType dtype, int hidden, long budget) {
    this.device = stream.device();
    this.stream = stream;
    this.dtype = dtype;
    this.hidden = hidden;
    this.budget = budget;
  }

  boolean keeps() {
    return budget > 0;
  }

  /**
   * Copies what is known of a prompt's beginning to its place.
   *
   * @param most rows that are of use; a multiple of the block size
   * @param begin first slot of the sequence's range
   * @return rows that are in the cache now, whole blocks
   */
  int restore(PromptKey key, int most, int blockSize, KvCache cache, int begin) {
    Entry best = null;
    int rows = 0;
    for (Entry entry : entries) {
      int common = entry.blockSize != blockSize ? 0
          : Math.min(Math.min(entry.key.common(key), entry.rows), most) / blockSize * blockSize;
      if (common > rows) {
        best = entry;
        rows = common;
      }
    }
    if (best != null) {
      use(best);
      copy(best, rows, cache, begin, false);
    }
    return rows;
  }

  /** Copies an image's embeddings to {@code target} if they are known. Returns whether they were. */
  boolean restoreImage(String image, DeviceBuffer target) {
    for (Entry entry : entries) {
      int index = entry.key.images().indexOf(image);
      if (index >= 0) {
        use(entry);
        stream.copy(entry.embeddings.slice((long) entry.key.begin(index) * hidden, target.shape()), target);
        return true;
      }
    }
    return false;
  }

  private void use(Entry entry) {
    entries.remove(entry);
    entries.add(entry);
  }

  /**
   * Keeps a prompt that has been read, unless all of it is known or it is larger than the budget.
   *
   * @param rows whole blocks whose keys and values are in the cache
   * @param embeddings [prompt rows or more, H]
   */
  void keep(PromptKey key, int rows, int blockSize, KvCache cache, int begin, DeviceBuffer embeddings) {
    long bytes = cache.bytes(rows) + (long) key.rows().length * hidden * dtype.bytes();
    if (rows == 0 || bytes > budget || entries.stream().anyMatch(e -> e.blockSize == blockSize && e.rows >= rows
        && e.key.common(key) >= rows && e.key.images().containsAll(key.images()))) {
      return;
    }
    stream.synchronize(); // copies from what goes now have run
    while (entries.stream().mapToLong(Entry::bytes).sum() + bytes > budget) {
      entries.removeFirst().close();
    }
    try {
      Entry entry = new Entry(key, blockSize, rows, cache, hidden);
      entries.add(entry);
      copy(entry, rows, cache, begin, true);
      stream.copy(embeddings.slice(0, entry.embeddings.shape()), entry.embeddings);
    } catch (OutOfDeviceMemoryException e) {
      // It is a cache: what cannot be kept is read again.
    }
  }

  /** Between an entry and the first rows of a sequence, head by head. */
  private void copy(Entry entry, int rows, KvCache cache, int begin, boolean keep) {
    List<List<DeviceBuffer>> kinds = cache.rows(begin, rows);
    for (int kind = 0; kind < kinds.size(); kind++) {
      List<DeviceBuffer> heads = kinds.get(kind);
      DeviceBuffer all = entry.keyValues.get(kind);
      long each = all.elements() / heads.size();
      for (int i = 0; i < heads.size(); i++) {
        DeviceBuffer kept = all.slice(i * each, heads.get(i).elements());
        stream.copy(keep ? heads.get(i) : kept, keep ? kept : heads.get(i));
      }
    }
  }

  @Override
  public void close() {
    entries.forEach(Entry::close);
    entries.clear();
  }
}
